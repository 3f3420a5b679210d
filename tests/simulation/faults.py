"""What each fault does to the world."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.plan import PARTITIONS, Fault

if TYPE_CHECKING:
    from tests.simulation.host import Process
    from tests.simulation.world import World


def strike(world: "World", fault: Fault) -> None:
    """Lets a fault happen."""
    _FAULTS[fault.kind](world, fault)


def _somebody(world: "World", fault: Fault) -> "Process | None":
    alive = [host for host in world.hosts if not host.dead and not host.paused]
    return alive[int(fault.dice[0] * len(alive))] if alive else None


def _crash(world: "World", fault: Fault) -> None:
    host = _somebody(world, fault)
    if host is not None:
        world.note("killed")
        world.kill(host)


def _pause(world: "World", fault: Fault) -> None:
    """SIGSTOP, mostly beyond the session time-out: somebody else gets the partitions, and the zombie comes back."""
    host = _somebody(world, fault)
    if host is None:
        return
    world.note("paused")
    host.paused = True
    world.later(0.1 + 2.0 * fault.dice[1], world.resume, host)
    if not any(not other.paused for other in world.alive()):
        world.later(0.1, world.new_host)
    world.later(0.5, world.balance, False)


def _rebalance(world: "World", fault: Fault) -> None:
    _swap(world, fault, graceful=True)


def _takeover(world: "World", fault: Fault) -> None:
    """The group forgets a process that lives: it goes on with its partitions while another begins."""
    _swap(world, fault, graceful=False)


def _swap(world: "World", fault: Fault, graceful: bool) -> None:
    world.note("rebalanced")
    partition = int(fault.dice[0] * PARTITIONS)
    others = [host for host in world.alive() if host is not world.owners[partition] and not host.paused]
    if not others:
        others = [world.new_host()]
    to = others[int(fault.dice[1] * len(others))]
    if partition not in world.refused:
        world.move(partition, to, graceful)


def _add_worker(world: "World", _: Fault) -> None:
    world.new_host()


def _roll_back(world: "World", fault: Fault) -> None:
    """Redis dies and comes back with less: mostly a few commands less, sometimes with half a transaction."""
    length = len(world.redis.log)
    share = fault.dice[0]
    lost = int(share * 12) + 1 if share < 0.8 else int((share - 0.8) * 5 * length)
    _redis_dies(world, max(0, length - lost), fault)
    world.note("Redis rolled back")


def _redis_lost(world: "World", fault: Fault) -> None:
    _redis_dies(world, 0, fault)
    world.note("Redis lost")


def _redis_dies(world: "World", keep: int, fault: Fault) -> None:
    torn = ("applied", "applied", "dropped", "dangling")[int(fault.dice[2] * 4)]
    tail = [command for command, _ in world.redis.log[keep:]]
    if world.redis.crash(keep, torn):
        world.note("script torn")
    world.say(f"Redis keeps {keep} commands ({torn} if torn), loses {tail}")
    world.fences.rolled_back()
    _down(world, fault.dice[1])


def _redis_down(world: "World", fault: Fault) -> None:
    world.note("Redis down")
    world.redis.crash(len(world.redis.log), "applied")
    _down(world, fault.dice[1])


def _down(world: "World", dice: float) -> None:
    world.redis.up = False
    world.later(dice * 0.5, _up, world)


def _up(world: "World") -> None:
    world.redis.up = True
    world.say("Redis is up")


def _distort(world: "World", fault: Fault) -> None:
    host = _somebody(world, fault)
    if host is not None:
        host.distortion = (fault.kind, fault.dice[1])


def _truncate(world: "World", fault: Fault) -> None:
    """Retention deletes what is applied, or (seldom) what is not."""
    topic = world.stage.source.name
    partition = int(fault.dice[0] * PARTITIONS)
    applied = world.fence_offset(partition) + 1
    start = int(applied * fault.dice[1])
    world.broker.starts[topic, partition] = max(world.broker.starts[topic, partition], start)
    world.say(f"the log of partition {partition} now starts at {start}")


def _truncate_and_roll_back(world: "World", fault: Fault) -> None:
    _truncate(world, Fault(fault.kind, fault.when, (fault.dice[0], 1.0, 0.0)))
    _redis_dies(world, int(len(world.redis.log) * fault.dice[1]), fault)


def _clock_jump(world: "World", fault: Fault) -> None:
    world.note("clock jumped")
    world.clock.ahead_us += int((fault.dice[0] - 0.5) * 4_000_000)


_FAULTS: dict[str, Callable[["World", Fault], None]] = {
    "crash": _crash,
    "pause": _pause,
    "rebalance": _rebalance,
    "takeover": _takeover,
    "add worker": _add_worker,
    "Redis rolled back": _roll_back,
    "Redis down": _redis_down,
    "Redis lost": _redis_lost,
    "redeliver": _distort,
    "skip": _distort,
    "slow fetch": _distort,
    "truncate": _truncate,
    "truncate and roll back": _truncate_and_roll_back,
    "clock jump": _clock_jump,
}
