"""What every history leaf is: a condition on events, a bounded state per profile, and a value with a horizon.

The laws all families keep (tested over all of them): inserting the same events in any order gives the same value;
reading changes nothing that a later read could see; a value holds until its horizon unless an event is inserted.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.pql.core import Core
from shared.pql.windows import Window

ENTRIES_MAX = 10_000
"""Entries a leaf keeps per profile; beyond it the oldest are forgotten."""

ANYTHING = -1
"""What an insertion may have done to a leaf's value other than bringing a count to a number (see `Leaf.level`)."""

Record = dict[str, Any]
"""An event as the engine sees it: its body, with `timestamp` in microseconds, `eventType` and `_id`."""
Reading = tuple[Any, int]
"""A value and the instant from which time alone may change it."""


@dataclass(frozen=True, slots=True)
class LeafSpec:
    """What a leaf computes; equal specs of different segments are one leaf.

    `predicate` and `body` see the event as variable 0. `interval` is the window as written, `names` the fields a
    general leaf keeps (None: all), `entries` how many events it keeps per profile.
    """

    family: str
    predicate: Core
    interval: Core | None = None
    function: str = ""
    body: Core | None = None
    extra: tuple[Any, ...] = ()
    names: frozenset[str] | None = None
    entries: int = ENTRIES_MAX
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Plans look specs up by the thousand; a hash of the trees below takes ten microseconds.
        parts = (self.family, self.predicate, self.interval, self.function, self.body, self.extra, self.names)
        object.__setattr__(self, "_hash", hash((parts, self.entries)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True)
class Recall(Core):
    """In an expression: the present value of a leaf."""

    leaf: LeafSpec


Predicates = tuple[tuple[int, Core], ...]
States = dict[int, Any]
"""The history of one profile: the states of its leaves and series, by key."""


class Moment(Protocol):
    """One profile at one instant, as a leaf sees it; `until` is the horizon of what has been asked so far."""

    states: States
    now: int
    until: int


class Leaf:
    """A planned leaf; `key` names its state inside a profile's and survives restarts and plan changes.

    `predicates` are the conditions on the events it wants, each with the key of its series: one, or a sequence's steps.
    """

    def __init__(self, key: int, spec: LeafSpec, window: Window, predicates: Predicates) -> None:
        self.key = key
        self.spec = spec
        self.window = window
        self.predicates = predicates

    def insert(self, state: Any, record: Record, at: int, event: int, now: int) -> Any:
        """Return the state with a matching event in it, or None if nothing this leaf shows now or later can change.

        Views of series are not inserted into: their series are.
        """
        raise NotImplementedError

    def read(self, states: States, now: int) -> Reading:
        """The value at `now`, which never goes back, and its horizon."""
        raise NotImplementedError

    def level(self, state: Any, now: int) -> int:
        """After an insertion: the count it brought about, or ANYTHING if it is not so simple."""
        return ANYTHING

    def merge(self, left: Any, right: Any, now: int) -> Any:
        """The state of two profiles become one."""
        raise NotImplementedError

    def counted(self, states: States, now: int) -> list[int]:
        """The hashes of the events that count at `now`, where the state still knows them."""
        return []


def place(times: list[int], events: list[int], at: int, event: int) -> int:
    """The index at which an entry belongs, or -1 if it is there already."""
    if not times or at > times[-1]:
        # Events mostly come in their order.
        return len(times)
    index = bisect_left(times, at)
    while index < len(times) and times[index] == at:
        if events[index] == event:
            return -1
        if events[index] > event:
            return index
        index += 1
    return index


def insert_entry(columns: list[list[Any]], at: int, event: int, value: Any) -> bool:
    """Insert into [times, events] or [times, events, values]; False if the event is already there."""
    index = place(columns[0], columns[1], at, event)
    if index < 0:
        return False
    columns[0].insert(index, at)
    columns[1].insert(index, event)
    if len(columns) > 2:
        columns[2].insert(index, value)
    return True


def drop_oldest(columns: list[list[Any]], count: int) -> None:
    """Forget the first entries."""
    if count > 0:
        for column in columns:
            del column[:count]


def merge_columns(left: list[list[Any]], right: list[list[Any]]) -> list[list[Any]]:
    """The union of two sets of entries."""
    result = [list(column) for column in left]
    for index, at in enumerate(right[0]):
        insert_entry(result, at, right[1][index], right[2][index] if len(right) > 2 else None)
    return result


Prepare = Callable[[Record], Any]
"""What an event contributes to a leaf; None if nothing."""
