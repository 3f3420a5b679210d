"""Digests of a stage's state, equal wherever the same facts have been decided, and the first profiles that differ.

A state's bytes depend on the order in which its entries came; so it is decoded and written anew with every mapping
sorted. The offset in front of it depends on how the log was cut into batches, and is left out.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec

from shared.runtime.admin.fsnap import SnapshotFile
from shared.runtime.admin.keyspace import Keyspace, Kind, StateEntry, ViewEntry
from shared.runtime.stage import StateCodec
from shared.runtime.state import unframe

E = TypeVar("E", StateEntry, ViewEntry)

_Slices = AsyncGenerator[tuple[int, list[E]], None]
_SHOWN_MAX = 10


class Difference(NamedTuple):
    """`what`: "state", "deadline", "view" and how the two sides differ."""

    partition: int
    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 over the sorted digests of all entries, in hex, and how many entries each covers."""

    states: str
    deadlines: str
    views: str
    total: str
    counts: dict[str, int]


@dataclass(slots=True)
class Comparison:
    """`first`: the first differences found; `count` of all."""

    count: int = 0
    first: list[Difference] = field(default_factory=list)

    def note(self, partition: int, name: bytes, what: str) -> None:
        self.count += 1
        if len(self.first) < _SHOWN_MAX:
            self.first.append(Difference(partition, name.decode("utf-8", "replace"), what))


Canonical = Callable[[bytes], bytes]


def canonical_form(codec: StateCodec[Any]) -> Canonical:
    """Returns what turns a codec's bytes into bytes that do not depend on the order of mappings."""

    def canonical(encoded: bytes) -> bytes:
        plain = msgspec.to_builtins(codec.decode(encoded), builtin_types=(bytes, bytearray))
        return msgspec.msgpack.encode(_sorted(plain))

    return canonical


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        entries = [(msgspec.msgpack.encode(_sorted(key)), _sorted(item)) for key, item in value.items()]
        return sorted(entries, key=lambda entry: entry[0])
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value


class _Lines:
    """Collects 32 bytes an entry of one partition; entries told twice count once."""

    def __init__(self) -> None:
        self._held: set[bytes] = set()
        self._partitions: list[bytes] = []
        self.count = 0

    def add(self, *parts: bytes) -> None:
        line = hashlib.sha256()
        for part in parts:
            line.update(len(part).to_bytes(8, "big"))
            line.update(part)
        self._held.add(line.digest())

    def end_partition(self) -> None:
        self.count += len(self._held)
        self._partitions.append(hashlib.sha256(b"".join(sorted(self._held))).digest())
        self._held.clear()

    def hexdigest(self) -> str:
        return hashlib.sha256(b"".join(self._partitions)).hexdigest()


Told = Callable[[int], None]
"""Hears of progress: how many more entries have been read."""


class Side:
    """One side of a comparison: a namespace or a file, read in slices."""

    def __init__(self, source: Keyspace | SnapshotFile, stage: str, told: Told = lambda _: None) -> None:
        self._source = source
        self._stage = stage
        self.told = told

    def steady(self) -> AbstractAsyncContextManager[object]:
        """Raises Retryable at the block's end when a namespace was not read from one and the same Redis."""
        return self._source.steady() if isinstance(self._source, Keyspace) else nullcontext()

    def states(self) -> _Slices[StateEntry]:
        if isinstance(self._source, Keyspace):
            reads = [self._source.states(), self._source.lone_deadlines()]
        else:
            reads = [_sliced(self._source.states(self._stage))]
        return self._read(reads)

    def views(self) -> _Slices[ViewEntry]:
        kinds: tuple[Kind, ...] = ("string", "set")
        if isinstance(self._source, Keyspace):
            reads = [self._source.views(kind) for kind in kinds]
        else:
            reads = [_sliced(self._source.views(self._stage, kind)) for kind in kinds]
        return self._read(reads)

    async def _read(self, reads: Iterable[_Slices[E]]) -> _Slices[E]:
        """Reads one after the other, and tells how far it has come."""
        for read in reads:
            async with aclosing(read) as slices:
                async for partition, entries in slices:
                    self.told(len(entries))
                    yield partition, entries


async def _sliced(slices: Iterable[tuple[int, list[E]]]) -> _Slices[E]:
    for slice_ in slices:
        yield slice_


async def digest(side: Side, partitions: int, canonical: Canonical) -> Digests:
    """Computes the digests; holds about 100 bytes per entry meanwhile. Raises Retryable as `Keyspace.steady` does."""
    async with side.steady():
        return _combined(await _lines(side, partitions, canonical))


async def _lines(side: Side, partitions: int, canonical: Canonical) -> dict[str, list[_Lines]]:
    kinds = {kind: [_Lines() for _ in range(partitions)] for kind in ("states", "deadlines", "views")}
    async with aclosing(side.states()) as slices:
        async for partition, entries in slices:
            for entry in entries:
                if entry.framed is not None:
                    kinds["states"][partition].add(entry.key, canonical(unframe(entry.framed)[1]))
                if entry.deadline is not None:
                    kinds["deadlines"][partition].add(entry.key, str(entry.deadline).encode())
    async with aclosing(side.views()) as view_slices:
        async for partition, views in view_slices:
            for view in views:
                for member in view.members:
                    kinds["views"][partition].add(view.name, member)
    return kinds


def _combined(kinds: dict[str, list[_Lines]]) -> Digests:
    found, counts = {}, {}
    for kind, partitions in kinds.items():
        for lines in partitions:
            lines.end_partition()
        found[kind] = hashlib.sha256("".join(lines.hexdigest() for lines in partitions).encode()).hexdigest()
        counts[kind] = sum(lines.count for lines in partitions)
    total = hashlib.sha256("".join(found.values()).encode()).hexdigest()
    return Digests(found["states"], found["deadlines"], found["views"], total, counts)


async def compare(left: Side, right: Keyspace, canonical: Canonical) -> Comparison:
    """Finds what differs between `left` and `right`, in slices; holds 8 bytes of hash per entry of `left`.

    Raises Retryable as `Keyspace.steady` does.
    """
    async with left.steady(), right.steady():
        result = await _compare_states(left, right, canonical)
        await _compare_views(left, right, result)
    return result


async def _compare_states(left: Side, right: Keyspace, canonical: Canonical) -> Comparison:
    result = Comparison()
    seen: set[int] = set()
    async with aclosing(left.states()) as slices:
        async for partition, entries in slices:
            found = await right.pairs(partition, [entry.key for entry in entries])
            for ours, theirs in zip(entries, found, strict=True):
                seen.add(hash((partition, ours.key)))
                if what := _difference(ours, theirs, canonical):
                    result.note(partition, ours.key, what)
    async with aclosing(Side(right, right.stage, left.told).states()) as slices:
        async for partition, entries in slices:
            for theirs in entries:
                if hash((partition, theirs.key)) not in seen:
                    result.note(partition, theirs.key, "state only in the second")
    return result


def _difference(ours: StateEntry, theirs: StateEntry, canonical: Canonical) -> str:
    if (ours.framed is None) != (theirs.framed is None):
        return "state only in the first" if theirs.framed is None else "state only in the second"
    if ours.framed is not None and theirs.framed is not None:
        one, other = unframe(ours.framed)[1], unframe(theirs.framed)[1]
        if one != other and canonical(one) != canonical(other):
            return "state differs"
    return "" if ours.deadline == theirs.deadline else f"deadline {ours.deadline} against {theirs.deadline}"


async def _compare_views(left: Side, right: Keyspace, result: Comparison) -> None:
    sides: list[set[tuple[int, bytes, bytes]]] = []
    for side in (left, Side(right, right.stage, left.told)):
        held: set[tuple[int, bytes, bytes]] = set()
        async with aclosing(side.views()) as slices:
            async for partition, views in slices:
                for view in views:
                    held.update((partition, view.name, _mark(member)) for member in view.members)
        sides.append(held)
    for found, where in ((sides[0] - sides[1], "first"), (sides[1] - sides[0], "second")):
        for partition, name, _ in sorted(found):
            result.note(partition, name, f"view entry only in the {where}")


def _mark(member: bytes) -> bytes:
    return hashlib.blake2b(member, digest_size=8).digest()
