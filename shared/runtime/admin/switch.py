"""Blue to green: workers go over to a rebuilt or restored namespace, nothing lost, nothing twice with another id.

    1. hold the live namespace: workers are fenced out (exit code 70), start again and wait at the claim
    2. replay what is left into the new one, up to the live fence exactly; fire what the live side has fired
    3. compare both, state by state
    4. per partition one script: still ours, both fences at one offset -> write the pointer into the live fence
    5. let go: waiting workers claim, find the pointer, and claim the new fence

Killed anywhere, each partition is on one side or the other, whole; the same command finishes the rest.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from shared.contracts import redis_keys
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.admin.digest import Comparison, Side, canonical_form, compare
from shared.runtime.admin.hold import Hold
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.admin.rebuild import Rebuild
from shared.runtime.namespace import active_namespace

# KEYS: live fence, new fence   ARGV: owner, name of the new namespace
_MOVE = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 'foreign' end
local live, new = redis.call('HGET', KEYS[1], 'offset') or '-1', redis.call('HGET', KEYS[2], 'offset') or '-1'
local silent = redis.call('HGET', KEYS[2], 'silent')
if live ~= new and (silent or tonumber(new) < tonumber(live)) then return 'offset' end
redis.call('HDEL', KEYS[2], 'silent', 'moved')
redis.call('HSET', KEYS[1], 'moved', ARGV[2])
return 'moved'
"""


@dataclass(frozen=True, slots=True)
class Switched:
    """`partitions` that went over; none when `comparison` found differences."""

    partitions: Sequence[int]
    comparison: Comparison | None


async def active_space(space: Keyspace) -> Keyspace:
    """Returns the namespace in charge, for commands that need one. Raises Fatal after a switch that was cut short."""
    names = {
        await active_namespace(space.client, space.namespace, space.stage, partition)
        for partition in range(space.partitions)
    }
    if len(names) > 1:
        raise Fatal(
            f"partitions of {space.stage} are in charge of different namespaces ({', '.join(sorted(names))}): a "
            f"switch was cut short; give the same `freshet state switch` again"
        )
    return Keyspace(space.client, names.pop(), space.stage, space.partitions)


async def switch(
    root: Keyspace, rebuild: Rebuild, *, comparing: bool, told: Callable[[str], None] = lambda _: None
) -> Switched:
    """Moves all partitions that `root` leads to over to `rebuild.space`. Differences leave everything as it was.

    Raises Fatal when the new namespace is ahead of the live one, or somebody else holds a partition.
    """
    new = rebuild.space
    live_names = [await active_namespace(root.client, root.namespace, root.stage, p) for p in range(root.partitions)]
    waiting = [p for p, name in enumerate(live_names) if name != new.namespace]
    if not waiting:
        return Switched((), None)
    (name,) = {live_names[p] for p in waiting}
    live = Keyspace(root.client, name, root.stage, root.partitions)
    told(f"rebuilding what is left while workers still run on {name!r}")
    beside = replace(rebuild, live=name)
    await beside.catch_up()
    async with Hold(live, waiting) as hold:
        await hold.take()
        told("workers are held; replaying the rest")
        ahead = await _ahead(live, new, waiting, comparing)
        await beside.catch_up()
        for partition in waiting:
            if partition not in ahead:
                await beside.align(partition)
        comparison = None
        if comparing:
            told("comparing")
            assert rebuild.stage.state is not None
            comparison = await compare(Side(live, live.stage), new, canonical_form(rebuild.stage.state))
            if comparison.count:
                return Switched((), comparison)
        await _carry_notes(live, new)
        for partition in waiting:
            await _move(live, new, partition, hold.token)
    return Switched(waiting, comparison)


async def _ahead(live: Keyspace, new: Keyspace, partitions: Sequence[int], comparing: bool) -> set[int]:
    """Returns the partitions of a restored copy that the live side has not reached again, after a loss of Redis.

    Their outputs were sent before the loss. What was rebuilt beside, silently, must never be ahead.
    """
    ahead: set[int] = set()
    for partition in partitions:
        ours, theirs = await live.fence(partition), await new.fence(partition)
        if theirs.offset <= ours.offset:
            continue
        where = f"{new.namespace!r} has applied {new.stage} partition {partition} up to {theirs.offset}"
        if theirs.silent:
            raise Fatal(
                f"{where}, the live {live.namespace!r} only up to {ours.offset}: its outputs between would be lost. "
                f"Wait until workers have passed it, then switch"
            )
        if comparing:
            raise Fatal(
                f"{where}, beyond the live {live.namespace!r} at {ours.offset}, so the two cannot be compared: if "
                f"Redis was lost and this is the restored copy, switch with --no-compare"
            )
        ahead.add(partition)
    return ahead


async def _move(live: Keyspace, new: Keyspace, partition: int, token: str) -> None:
    keys = [redis_keys.fence(space.namespace, space.stage, partition) for space in (live, new)]
    word = await live.client.eval(_MOVE, 2, *keys, token, new.namespace)
    if word != b"moved":
        raise Fatal(
            f"{live.stage} partition {partition} did not go over ({word.decode()}): a worker took it meanwhile; "
            f"give the command again",
            ExitCode.FENCED,
        )


async def _carry_notes(live: Keyspace, new: Keyspace) -> None:
    """Copies what is noted of work outside the log, so that it is not begun again."""
    async with aclosing(live.views("note")) as slices:
        async for partition, views in slices:
            for view in views:
                await new.client.set(new.name(partition, view.name), view.members[0])
