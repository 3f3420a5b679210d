"""One schedule under way: processes, broker, Redis, network and clock, and the faults that strike them."""

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

from shared.adapters.kafka import Message
from shared.contracts import redis_keys
from shared.runtime.stage import Batch, Effects, Stage
from tests.simulation import faults
from tests.simulation.broker import Broker
from tests.simulation.clock import Clock
from tests.simulation.feed_host import FeedHost
from tests.simulation.fences import Fences
from tests.simulation.host import NAMESPACE, Host, Process, exit_word
from tests.simulation.loop import WORLD, SimLoop
from tests.simulation.plan import CALL_FAULTS, PARTITIONS, SEND_FAULTS, Fault, Plan, repair
from tests.simulation.redis_client import RedisNetwork
from tests.simulation.redis_server import RedisServer
from tests.simulation.silence import SILENCE

STEPS_MAX = 12_000
_LINGER_S = 2.3
_SESSION_S = 0.5


class World:
    """Runs one plan. `violations` is what the invariants found on the way, `seen` what has happened."""

    def __init__(self, plan: Plan, stage: Stage[Any, Any], story: list[str] | None = None) -> None:
        self.plan = plan
        self.story = story
        self.seen: Counter[str] = Counter()
        self.violations: list[str] = []
        self.random = Random(plan.seed + 1)
        self.loop = SimLoop(self.random, self._strike_due)
        self.clock = Clock(self.loop)
        # What is measured is looked at where the feed runs; otherwise it would only cost time.
        self.metrics = SILENCE
        self.broker = Broker()
        self.fences = Fences(self)
        self.redis = RedisServer(self.fences.after_script)
        self._call_fates = {fault.when: fault.kind for fault in plan.faults if fault.kind in CALL_FAULTS}
        self._send_fates = {fault.when: fault.kind for fault in plan.faults if fault.kind in SEND_FAULTS}
        self._sent = 0
        self.network = RedisNetwork(self.loop, self.redis, self.delay_s, self._call_fates.get, self.say)
        self.stage = self._watched(stage)
        strikes = [fault for fault in plan.faults if fault.kind not in CALL_FAULTS + SEND_FAULTS]
        self.pending = sorted(strikes, key=lambda fault: -fault.when)
        self._note_workload()
        self.hosts: list[Process] = []
        self.owners: dict[int, Process | None] = dict.fromkeys(range(PARTITIONS))
        self.refused: set[int] = set()
        self._moves: Counter[int] = Counter()
        self._names = 0
        self._quiet_since: float | None = None
        self._arriving = len(plan.arrivals)
        self._redrive = plan.redrive

    def run(self) -> None:
        """Runs until everything is applied and nothing has stirred for a while."""
        for number, arrival in enumerate(self.plan.arrivals):
            message = Message(self.stage.source.name, arrival.partition, arrival.key, arrival.value)
            self.later(arrival.at_s + number * 1e-6, self._arrive, message)  # in order, one instant each
        for _ in range(self.plan.workers):
            self.new_host()
        if not self.loop.run(self._over, STEPS_MAX):
            exits = {name: count for name, count in self.seen.items() if name.startswith("exit: ")}
            self.violate("liveness", f"not done after {STEPS_MAX} steps; {exits}")
        for host in self.hosts:
            host.dead = True
        self.loop.close()

    def _note_workload(self) -> None:
        """Counts what kinds of facts the plan holds, so that none can go missing unnoticed."""
        self.seen[f"{self.plan.stage} runs"] += 1
        self.seen["wall clock runs"] += self.plan.wall
        self.seen["feed runs"] += self.plan.feed
        self.seen += self.plan.kinds

    def _over(self) -> bool:
        """Looks whether all is applied; then lets the next fault happen, or lingers, for latecomers."""
        now = self.loop.time()
        if self.violations:
            return True
        if not self._quiet():
            self._quiet_since = None
        elif self.pending:
            self.strike(self.pending.pop())
        elif self._redrive:
            self._redrive = False
            self._send_repaired()
        elif self._quiet_since is None:
            self._quiet_since = now
        return self._quiet_since is not None and now > self._quiet_since + _LINGER_S

    def _quiet(self) -> bool:
        if self._arriving or not self.redis.up:
            return False
        topic = self.stage.source.name
        for partition, owner in self.owners.items():
            if partition in self.refused:
                continue
            end = self.broker.end(topic, partition)
            worker = owner.workers.get(partition) if owner is not None and not owner.dead else None
            if worker is None or owner is None or owner.paused or owner.crashed is not None:
                return False
            if worker.applied_offset != end - 1 or partition in self.fences.behind:
                return False
            if self.plan.wall and self.deadlines_left(partition):
                return False
        return True

    def deadlines_left(self, partition: int) -> bool:
        """Tells whether a deadline is still to fire on the wall clock, which brings all of them."""
        return bool(self.redis.data.get(redis_keys.deadlines(NAMESPACE, self.stage.name, partition).encode()))

    def _strike_due(self) -> float:
        """Lets every fault of this step happen; returns the step of the next."""
        while self.pending and self.pending[-1].when <= self.loop.steps:
            self.strike(self.pending.pop())
        return self.pending[-1].when if self.pending else STEPS_MAX

    def strike(self, fault: Fault) -> None:
        """Lets a fault happen now."""
        self.say(f"{fault}")
        self._quiet_since = None
        faults.strike(self, fault)

    def _send_repaired(self) -> None:
        """Sends dead letters again, the poison taken out: they count as facts of this later instant (I9)."""
        for partition in range(PARTITIONS):
            letters = {letter.value: letter for letter in self.broker.logs[self.stage.source.dlq_name, partition]}
            for value, letter in sorted(letters.items(), key=lambda item: item[0] or b""):
                self.note("dead letters")
                # Log time does not go back; on the wall clock it is the clock's.
                at = self.clock.now() if self.plan.wall else self.plan.end + 1
                repaired = repair(value or b"", at)
                if repaired is not None:
                    self.note("dead letters redriven")
                    self._arriving += 1
                    self.later(0.0, self._arrive, Message(self.stage.source.name, partition, letter.key, repaired))

    def _arrive(self, message: Message) -> None:
        self._arriving -= 1
        stored = self.broker.append(message)
        self.say(f"record {stored.partition}@{stored.offset} of {(stored.key or b'').decode()} in the log")

    def delay_s(self) -> float:
        """One way through the network: mostly quick, sometimes not."""
        draw = self.random.random()
        return 0.0001 + draw * (0.05 if draw > 0.9 else 0.002)

    def send_fate(self, count: int) -> str | None:
        """The fate of the next produced batch."""
        self._sent += count
        fate = self._send_fates.get(self._sent)
        if fate is not None:
            self.note(f"produced batch: {fate}")
            self.say(f"produced batch {self._sent}: {fate}")
        return fate

    def note(self, what: str) -> None:
        self.seen[what] += 1

    def say(self, line: str) -> None:
        if self.story is not None:
            self.story.append(f"{self.loop.time():9.4f} s, step {self.loop.steps:4}: {line}")

    def violate(self, invariant: str, text: str) -> None:
        self.violations.append(f"{invariant}: {text}")
        self.say(f"VIOLATED {invariant}: {text}")

    def later(self, delay_s: float, callback: Any, *args: Any) -> None:
        """Calls back in the world, whoever dies meanwhile."""
        self.loop.call_later(delay_s, callback, *args, context=WORLD)

    def alive(self) -> list[Process]:
        return [host for host in self.hosts if not host.dead and host.crashed is None]

    def new_host(self) -> Process:
        """Starts a process; it joins and gets its share."""
        self._names += 1
        host = (FeedHost if self.plan.feed else Host)(self, f"worker {self._names}")
        self.hosts.append(host)
        host.start()
        self.say(f"{host.name} starts")
        self.balance()
        return host

    def balance(self, graceful: bool = True) -> None:
        """Spreads the partitions over the processes that are there."""
        able = [host for host in self.alive() if not host.paused]
        if not able:
            return
        for partition, owner in self.owners.items():
            if partition in self.refused:
                continue
            wanted = able[(partition + self._names) % len(able)]
            if owner is not wanted and (owner is None or owner not in able or len(able) > 1):
                self.move(partition, wanted, graceful)

    def move(self, partition: int, to: Process, graceful: bool) -> None:
        """Gives a partition to another process; ungraceful: the old one learns of it later."""
        old = self.owners[partition]
        if old is to:
            return
        self._moves[partition] += 1
        self.owners[partition] = to
        self.say(f"partition {partition} goes from {old.name if old else 'nobody'} to {to.name}")
        coro = self._move(partition, old, to, graceful, self._moves[partition])
        self.loop.create_task(coro, context=WORLD.copy())

    async def _move(self, partition: int, old: Process | None, to: Process, graceful: bool, number: int) -> None:
        if old is not None and not old.dead:
            if graceful and not old.paused:
                await asyncio.wait({self.loop.spawn(old, old.revoked(partition))}, timeout=4.0)
            else:
                self.later(self.random.random() * 2, self._tell, old, partition)
        if self._moves[partition] == number and not to.dead:
            self.loop.spawn(to, to.assigned(partition))

    def _tell(self, host: Process, partition: int) -> None:
        if not host.dead and self.owners[partition] is not host:
            self.loop.spawn(host, host.revoked(partition))

    def exited(self, host: Process, error: BaseException) -> None:
        """A process has met an error it does not outlive: it stops a little later, orderly or not."""
        word = exit_word(error)
        self.note(f"exit: {word}")
        self.say(f"{host.name} ends: {error!r}")
        if word == "log truncated":
            owned = [p for p, owner in self.owners.items() if owner is host and p not in host.workers]
            starts = self.broker.starts
            self.refused |= {p for p in owned if self.fence_offset(p) + 1 < starts[self.stage.source.name, p]}
        elif word == "gap":
            self.note("gap seen by the fence" if "the fence of" in str(error) else "gap seen in the log")
        elif word not in ("fenced", "stalled", "KafkaError"):
            self.violate("crash-only", f"{host.name} met {error!r}, which no exit code documents")
        if self.random.random() < 0.5:
            self.later(
                0.2 * self.random.random(), lambda: self.loop.spawn(host, host.stop()) if not host.dead else None
            )
        self.later(0.3 + 0.2 * self.random.random(), self.kill, host)

    def kill(self, host: Process) -> None:
        """SIGKILL: nothing of the process runs again. The group notices after the session time-out."""
        if host.dead:
            return
        host.dead = True
        host.held.clear()
        self.broker.listeners.remove(host.appended)
        self.say(f"{host.name} is dead")
        if len(self.alive()) < self.plan.workers:
            self.later(0.1 + self.random.random(), self.new_host)
        self.later(_SESSION_S, self.balance)

    def resume(self, host: Process) -> None:
        """A paused process goes on as if nothing had happened."""
        if host.dead:
            return
        self.say(f"{host.name} goes on")
        self.loop.resume(host)
        self.later(_SESSION_S, self.balance)

    def claimed(self, partition: int, position: int) -> None:
        """A worker has taken a partition over and reads on from `position`."""
        self.say(f"partition {partition} claimed, read from {position}")
        if position <= self.fences.furthest[partition]:
            self.note("roll-back replayed")
            if self.seen["script torn"]:
                self.note("torn script replayed")

    def _watched(self, stage: Stage[Any, Any]) -> Stage[Any, Any]:
        """The same stage, with an eye on what it is given."""

        def step(batch: Batch[Any, Any]) -> Effects[Any]:
            if batch.due:
                self.note("deadline fired")
                if self.plan.wall and self._moves.total() > PARTITIONS:
                    self.note("deadline fired on the wall clock after a rebalance")
                if any(host.dead for host in self.hosts):
                    self.note("deadline fired after a crash")
            return stage.step(batch)

        return replace(stage, step=step)

    def fence_of(self, partition: int) -> dict[bytes, bytes]:
        """The fence in Redis as it is."""
        return dict(self.redis.data.get(redis_keys.fence(NAMESPACE, self.stage.name, partition).encode(), {}))

    def fence_offset(self, partition: int) -> int:
        """Where the fence in Redis stands, -1 for nowhere."""
        return int(self.fence_of(partition).get(b"offset", b"-1"))
