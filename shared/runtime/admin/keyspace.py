"""All keys of one stage below one namespace, read in slices while workers write.

Every write of a worker has a cause that comes again: a record (replayed from the fence) or a deadline (fires again).
A copy is therefore exact when it is taken in this order, each part after the one before:

    1. fences and notes          whatever is applied later is replayed over it; turns noted later are taken again
    2. (state, deadline) pairs   both by one script: a state without the deadline that belongs to it would lose an exit
    3. strings, sets             views; newer than their states at most, and replay writes them again, absolutely

SCAN tells everything that was there from its first call to its last, some of it twice; the rest is younger than the
fence and replay makes it anew. All that holds for one server that stays: see `Keyspace.steady`.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

from shared.contracts import redis_keys
from shared.kernel.errors import Retryable
from shared.runtime.admin.scan import Server, patiently, scan, servers

_SCAN_COUNT = 1_000
_SLICE_KEYS = 256

# KEYS: deadlines, states...   ARGV: their keys
_PAIRS = """
local found = {}
for i = 1, #ARGV do
  found[2 * i - 1] = redis.call('GET', KEYS[i + 1])
  found[2 * i] = redis.call('ZSCORE', KEYS[1], ARGV[i])
end
return found
"""

Kind = Literal["hash", "string", "set", "note"]
_NOTE = redis_keys.NOTE.encode()
_OWN = (b"fence", b"hold", b"deadlines")


class StateEntry(NamedTuple):
    """A key's framed state and the deadline (µs) that belongs to it; `framed` None: a deadline alone."""

    key: bytes
    framed: bytes | None
    deadline: int | None


class ViewEntry(NamedTuple):
    """One view. `members`: the string's value alone, some of the set's members, or field and value by turns."""

    name: bytes
    members: list[bytes]


@dataclass(frozen=True, slots=True)
class FenceView:
    """What a fence says. `offset` -1: nothing applied; `fields`: all but owner and pointer."""

    partition: int
    offset: int
    clock: int
    owner: str
    moved: str
    silent: bool


class Steady:
    """Watches that a copy is one copy: the same servers answer, and no fence has gone back."""

    def __init__(self, space: "Keyspace", before: Sequence[tuple[Server, int]]) -> None:
        self._space = space
        self._before = before

    async def check(self) -> None:
        """Raises Retryable when what has been read since the beginning may be of different times."""
        for partition, (was, now) in enumerate(zip(self._before, await self._space.servers(), strict=True)):
            if was[0].id != now[0].id or now[1] < was[1]:
                raise Retryable(
                    f"Redis did not stay the same: the server of {self._space.stage} partition {partition} of "
                    f"{self._space.namespace!r} was restarted, replaced or emptied, or its slot moved, so that what "
                    f"was read before may not fit what was read after"
                )


class Keyspace:
    """Reads one stage's keys. `client` is redis-py's, answering in bytes."""

    def __init__(self, client: Any, namespace: str, stage: str, partitions: int) -> None:
        self.client = client
        self.namespace = namespace
        self.stage = stage
        self.partitions = partitions
        self._pairs = client.register_script(_PAIRS)
        self._head = redis_keys.prefix(namespace, stage, 0)[: -len("0}:")].encode()

    def name(self, partition: int, suffix: bytes) -> bytes:
        """Returns a whole key from what comes after the partition's prefix."""
        return redis_keys.prefix(self.namespace, self.stage, partition).encode() + suffix

    async def fence(self, partition: int) -> FenceView:
        name = redis_keys.fence(self.namespace, self.stage, partition)
        found = await patiently(partial(self.client.hgetall, name))
        return FenceView(
            partition,
            int(found.get(b"offset", -1)),
            int(found.get(b"clock", 0)),
            found.get(b"owner", b"").decode(),
            found.get(b"moved", b"").decode(),
            found.get(b"silent") == b"1",
        )

    async def fences(self) -> list[FenceView]:
        return [await self.fence(partition) for partition in range(self.partitions)]

    async def servers(self) -> list[tuple[Server, int]]:
        """Returns who answers for each partition, and how many batches its fence has counted."""
        names = [redis_keys.fence(self.namespace, self.stage, partition) for partition in range(self.partitions)]
        found = await servers(self.client, names)
        counts = [await patiently(partial(self.client.hget, name, "commits")) for name in names]
        return [(server, int(count or 0)) for server, count in zip(found, counts, strict=True)]

    @asynccontextmanager
    async def steady(self, *, dropping: bool = False) -> AsyncIterator[Steady]:
        """Raises Retryable at the block's end when not one and the same Redis has answered in it."""
        before = await self.servers()
        steady = Steady(self, [(server, 0 if dropping else count) for server, count in before])
        yield steady
        await steady.check()

    async def is_empty(self) -> bool:
        """Tells whether nothing has been applied or written: a fence that was only claimed does not count."""
        if any(fence.offset >= 0 or fence.moved for fence in await self.fences()):
            return False
        async for _, suffixes in self._scan():
            if any(suffix not in (b"fence", b"hold") for suffix in suffixes):
                return False
        return True

    async def states(self) -> AsyncGenerator[tuple[int, list[StateEntry]], None]:
        """Yields (partition, slice) of all states with their deadlines, each pair from one instant."""
        async for partition, suffixes in self._scan():
            keys = [suffix[len(b"state:") :] for suffix in suffixes if suffix.startswith(b"state:")]
            for start in range(0, len(keys), _SLICE_KEYS):
                slice_ = await self.pairs(partition, keys[start : start + _SLICE_KEYS])
                yield partition, [entry for entry in slice_ if entry.framed is not None]

    async def pairs(self, partition: int, keys: Sequence[bytes]) -> list[StateEntry]:
        """Looks keys up: their states and deadlines, None where there is none."""
        if not keys:
            return []
        deadlines = redis_keys.deadlines(self.namespace, self.stage, partition)
        names = [self.name(partition, b"state:" + key) for key in keys]
        found = await patiently(partial(self._pairs, keys=[deadlines, *names], args=list(keys)))
        return [
            StateEntry(key, found[2 * i], None if found[2 * i + 1] is None else int(float(found[2 * i + 1])))
            for i, key in enumerate(keys)
        ]

    async def lone_deadlines(self) -> AsyncGenerator[tuple[int, list[StateEntry]], None]:
        """Yields deadlines of keys that have no state."""
        for partition in range(self.partitions):
            name, cursor = redis_keys.deadlines(self.namespace, self.stage, partition), 0
            while True:
                cursor, rows = await patiently(partial(self.client.zscan, name, cursor, count=_SLICE_KEYS))
                pairs = await self.pairs(partition, [key for key, _ in rows])
                if lone := [e for e in pairs if e.framed is None and e.deadline is not None]:
                    yield partition, lone
                if not cursor:
                    break

    async def views(self, kind: Kind) -> AsyncGenerator[tuple[int, list[ViewEntry]], None]:
        """Yields all views of one type, big sets in pieces; `note`: the strings that note progress, and only those."""
        async for partition, suffixes in self._scan("string" if kind == "note" else kind):
            names = [s for s in suffixes if not s.startswith(b"state:") and s not in _OWN]
            names = [name for name in names if name.startswith(_NOTE) == (kind == "note")]
            for start in range(0, len(names), _SLICE_KEYS):
                slice_ = names[start : start + _SLICE_KEYS]
                if kind in ("string", "note"):
                    whole = [self.name(partition, name) for name in slice_]
                    found = await patiently(partial(self.client.mget, whole))
                    pairs = zip(slice_, found, strict=True)
                    yield partition, [ViewEntry(name, [value]) for name, value in pairs if value is not None]
                else:
                    for name in slice_:
                        async for entry in self._members(partition, name, kind):
                            yield partition, [entry]

    async def _members(self, partition: int, name: bytes, kind: Kind) -> AsyncGenerator[ViewEntry, None]:
        walk = self.client.sscan if kind == "set" else self.client.hscan
        whole, cursor = self.name(partition, name), 0
        while True:
            cursor, found = await patiently(partial(walk, whole, cursor, count=_SCAN_COUNT))
            members = list(found) if kind == "set" else [part for pair in found.items() for part in pair]
            if members:
                yield ViewEntry(name, members)
            if not cursor:
                return

    async def _scan(self, kind: Kind | None = None) -> AsyncGenerator[tuple[int, list[bytes]], None]:
        """Yields (partition, what comes after its prefix) in slices, in one pass over Redis, or over each node that
        answers for a partition."""
        owners = {partition: server.node for partition, (server, _) in enumerate(await self.servers())}
        for node in dict.fromkeys(owners.values()):
            async for names in scan(node, self._head, kind):
                grouped: defaultdict[int, list[bytes]] = defaultdict(list)
                for name in names:
                    number, _, suffix = name[len(self._head) :].partition(b"}:")
                    grouped[int(number)].append(suffix)
                for partition, suffixes in grouped.items():
                    if owners.get(partition) is node:
                        yield partition, suffixes

    async def drop(self) -> int:
        """Deletes everything but pointers to a namespace that took over; returns how many keys.

        Raises Retryable, some of it deleted, when Redis did not stay the same meanwhile.
        """
        async with self.steady(dropping=True):
            return await self._drop()

    async def _drop(self) -> int:
        dropped = 0
        async for partition, suffixes in self._scan():
            names = [self.name(partition, suffix) for suffix in suffixes if suffix != b"fence"]
            if names:
                dropped += await patiently(partial(self.client.unlink, *names))
        for fence in await self.fences():
            key = redis_keys.fence(self.namespace, self.stage, fence.partition)
            if fence.moved:
                await self.client.hdel(key, "offset", "clock", "owner", "silent")
            else:
                dropped += await self.client.unlink(key)
        return dropped
