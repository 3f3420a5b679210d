"""A stage: a pure `step` over keyed records of one topic. The runtime owns everything else.

`step` gets the records of one partition in order, the states of their keys, the deadlines that are due, and the
partition's time; it returns what changed. It does no I/O, reads no clock and keeps nothing between calls. States
may be changed in place; when a step raises, the runtime throws the touched states away and loads them again.
"""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from shared.contracts.headers import Headers
from shared.contracts.topics import Topic
from shared.kernel.clock import Micros
from shared.kernel.errors import Rejected

V = TypeVar("V")
S = TypeVar("S")


class Record(msgspec.Struct, Generic[V], frozen=True, gc=False):
    """One decoded record. `timestamp_ms` is Kafka's; the log time of a fact is inside `value`.

    `raw` is what `value` was decoded from, for steps that pass it on as it is. `reached`: the newest log time (µs) of
    the records before it in the partition. Deadlines before that may have fired already, or will after this batch: a
    step that lets them fire first, for the record's key, decides the same however records fall into batches. Made
    once per event, hence a Struct.
    """

    key: str
    value: V
    partition: int
    offset: int
    timestamp_ms: int
    headers: Headers = ()
    raw: bytes = b""
    reached: int = 0

    def header(self, name: str) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


class Due(msgspec.Struct, frozen=True, gc=False):
    """A deadline that has come: re-evaluate `key` at `at`, the deadline itself."""

    key: str
    at: Micros


@dataclass(frozen=True, slots=True)
class Batch(Generic[V, S]):
    """What one call of `step` works on. Records come before due deadlines. `states` lacks keys never seen."""

    partition: int
    records: Sequence[Record[V]]
    due: Sequence[Due]
    states: MutableMapping[str, S]


class Output(msgspec.Struct, frozen=True, gc=False):
    """A record to produce. Keyed outputs go to their key's partition unless `partition` is given: a step whose output
    has the key of its cause gives the batch's, because hashing a key costs microseconds.

    `value` is a Struct, or bytes that are encoded already.

    `timestamp_ms`: pass the cause's, so that the time of acceptance travels along; None means now.
    """

    topic: Topic
    key: str | None
    value: Any
    headers: Headers = ()
    partition: int | None = None
    timestamp_ms: int | None = None


class ViewWrite(msgspec.Struct, frozen=True, gc=False):
    """An absolute write to a key made for readers: `set` a string, `add` to or `remove` from a set."""

    action: Literal["set", "delete", "add", "remove"]
    name: str
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that can never be processed; it goes to the topic's dead-letter topic."""

    record: Record[Any]
    error: Rejected


@dataclass(slots=True)
class Effects(Generic[S]):
    """What a step decided: touched states, outputs, deadlines (None clears), views and rejected records."""

    states: dict[str, S] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    deadlines: dict[str, Micros | None] = field(default_factory=dict)
    views: list[ViewWrite] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Turn:
    """What an interlude wants done between two micro-batches: keys stepped as if they were due, or views written.

    `barrier`: everything is made durable, and then `done` called, before the partition steps on.
    """

    due: Sequence[Due] = ()
    views: Sequence[ViewWrite] = ()
    barrier: bool = False
    done: Callable[[], None] = lambda: None


class Interlude(Protocol):
    """Work that a stage does on the states of a partition between its records, for example bringing every profile
    over to new definitions. It lives as long as the process; partitions come and go."""

    async def claimed(self, partition: int, position: int) -> None:
        """A partition has been claimed; `position` is the last applied offset (-1: none). Nothing is stepped until
        this returns. May raise Retryable: it is called again."""
        ...

    def released(self, partition: int) -> None:
        """The partition belongs to somebody else now."""
        ...

    def is_busy(self, partition: int) -> bool:
        """Tells whether turns are wanted soon, also while no records come. Asked with every micro-batch: be quick."""
        ...

    def next_turn(self, partition: int, position: int, now: Micros) -> Turn | None:
        """Called between micro-batches while busy. Everything up to offset `position` has been stepped; `now` is the
        instant that time has reached in the partition (µs)."""
        ...


class StateCodec(Protocol[S]):
    """Turns one key's state into bytes and back; the format is versioned inside."""

    def encode(self, state: S) -> bytes: ...

    def decode(self, raw: bytes) -> S: ...


Step = Callable[[Batch[V, S]], Effects[S]]
Prepare = Callable[[Sequence[Record[V]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stage(Generic[V, S]):
    """Which topic a step reads, what it keeps and what it writes.

    `state` None makes the stage stateless: its position is Kafka's committed offset, and outputs may repeat after
    a crash (with the same ids). `prepare` may load what the step needs to know (control data, never per record).
    `gate` holds consumption until it returns True (definitions read, champion known). `interlude` takes turns with the
    records; stateful stages only. `log_time` reads a record's log time (µs), which moves the partition's clock; without
    it only the wall clock fires deadlines.
    """

    name: str
    source: Topic
    step: Step[V, S]
    outputs: tuple[Topic, ...]
    state: StateCodec[S] | None = None
    prepare: Prepare[V] | None = None
    gate: Callable[[], bool] = lambda: True
    interlude: Interlude | None = None
    log_time: Callable[[V], int] | None = None


def single_records(batch: Batch[V, S]) -> Iterator[Batch[V, S]]:
    """Splits a batch into batches of one record or one deadline each, to find the record that cannot be stepped."""
    for record in batch.records:
        yield Batch(batch.partition, (record,), (), batch.states)
    for due in batch.due:
        yield Batch(batch.partition, (), (due,), batch.states)
