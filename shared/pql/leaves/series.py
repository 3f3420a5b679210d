"""Series: the events of a profile that meet one condition, kept once for all leaves that look at them.

The unit of the engine's memory. Every windowed count and every step of a sequence over the same condition is a *view*
of one series (the alpha memory of Forgy's Rete, "A Fast Algorithm for the Many Pattern/Many Object Pattern Match
Problem", 1982): an event is inserted once per condition it meets, however many segments ask. A series keeps what its
most demanding view may still need, so the same events in any order leave the same answers.

State: [times, events], ordered by (time, event hash).
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from shared.pql.leaves.base import States, drop_oldest, insert_entry, merge_columns
from shared.pql.leaves.sequence import SequenceLeaf
from shared.pql.leaves.window import CountLeaf
from shared.pql.windows import NEVER, MovingBound, end_value

IGNORED, ENTERED, FORGOT = 0, 1, 2
"""What an insertion did: nothing that shows, an entry more, or more than the series may hold."""


@dataclass(frozen=True, slots=True)
class CountView:
    """A windowed count over a series, and the conditions to judge: by the number reached, or whatever it is."""

    leaf: CountLeaf
    lookback: int | None
    numbers: dict[int, tuple[int, ...]]
    always: tuple[int, ...]
    readers: tuple[int, ...]
    in_features: bool


@dataclass(frozen=True, slots=True)
class SequenceView:
    """A sequence with a step over a series, and the conditions to judge when its answer may have changed.

    `told_by` is a segment that is nothing but this sequence: its membership is the sequence's answer.
    """

    leaf: SequenceLeaf
    readers: tuple[int, ...]
    in_features: bool
    told_by: str | None


Timed = tuple[SequenceView, int, int | None]
"""A sequence, its key, and the gap (µs) allowed between its last two steps."""


@dataclass(frozen=True, slots=True)
class Closing:
    """Sequences that the newest event may change, provided that the series `guard` has an event (None: any way).

    By what has to be asked of them: `pairs` of two steps have matched if the guard's newest event before this one is
    within the gap; `longer` and `reopened` ones, which hold until something forbidden follows, may match only then;
    `ended` ones this event forbids, if they hold; `others` may change in any way.
    """

    guard: int | None
    pairs: tuple[Timed, ...]
    longer: tuple[Timed, ...]
    reopened: tuple[Timed, ...]
    ended: tuple[SequenceView, ...]
    others: tuple[SequenceView, ...]


class Series:
    """The events of one condition on events; `closing` are the sequences that its newest event may change.

    `strict` are those that any of its events may change if another is as new: where something is forbidden between
    steps, it may be forbidden by the event that came second.
    """

    __slots__ = (
        "_lows",
        "_plain",
        "cap",
        "closing",
        "counts",
        "in_features",
        "key",
        "lasting",
        "sequences",
        "spared",
        "strict",
        "windows",
    )

    def __init__(self, key: int, counts: tuple[CountView, ...], steps: tuple[tuple[SequenceView, int], ...]) -> None:
        self.key = key
        self.counts = counts
        self.windows = tuple((view.lookback, view.leaf.low, view.numbers, view.always) for view in counts)
        self.in_features = any(view.in_features for view in counts)
        self.sequences = tuple(view for view, _ in steps)
        self.closing = _closing(steps)
        self.strict = tuple(v for v in self.sequences if not (v.leaf.lasting or v.leaf.holds_until_ended))
        lows = [view.leaf.low for view in counts]
        caps = [view.leaf.spec.entries for view in counts]
        self.spared = 0
        for view, bits in steps:
            found = view.leaf.lows(bits)
            lows += [low for low in found if isinstance(low, MovingBound)]
            caps.append(view.leaf.spec.entries)
            if not all(isinstance(low, MovingBound) for low in found):
                # A step without a window never forgets by time.
                self.spared = max(self.spared, view.leaf.spec.entries)
        self.cap = max(caps)
        distinct = dict.fromkeys(lows)
        plain = [-low.micros for low in distinct if low.plain]
        self._plain = max(plain) if plain else None
        self._lows = tuple(low for low in distinct if not low.plain)
        # What has matched for ever needs no events: with such readers only, the series ends with the last of them.
        self.lasting = () if counts else tuple(view.leaf.key for view in self.sequences)
        if not all(view.leaf.lasting for view in self.sequences):
            self.lasting = ()

    def _low(self, now: int) -> int:
        """The instant before which no window looks any more."""
        low = NEVER if self._plain is None else now - self._plain
        for bound in self._lows:
            low = min(low, end_value(bound, now))
        return low

    def is_settled(self, states: States) -> bool:
        """Tell whether all that read the series have matched for ever."""
        return bool(self.lasting) and all(key in states for key in self.lasting)

    def looked_at(self, in_order: bool, whole: bool, tied: bool) -> tuple[SequenceView, ...]:
        """The sequences that an event may change in ways other than `closing` tells: all if it came late (not
        `in_order`), those that can cease to hold if an older event had to go (not `whole`), `strict` ones if another
        event is as new (`tied`)."""
        if not in_order:
            return self.sequences
        if not whole:
            return tuple(view for view in self.sequences if not view.leaf.lasting)
        return self.strict if tied else ()

    def insert(self, states: States, at: int, event: int, now: int) -> int:
        """Keep an event that meets the condition, in place."""
        columns = states.get(self.key)
        low = now - self._plain if self._plain is not None and not self._lows else self._low(now)
        if at < low and not self.spared:
            return IGNORED
        if columns is None:
            if self.is_settled(states):
                return IGNORED
            states[self.key] = [[at], [event]]
            return ENTERED
        times: list[int] = columns[0]
        if at > times[-1]:
            times.append(at)
            columns[1].append(event)
        elif not insert_entry(columns, at, event, None):
            return IGNORED
        if times[0] < low and len(times) > self.spared:
            drop_oldest(columns, min(bisect_left(times, low), len(times) - self.spared))
        if len(times) > self.cap:
            drop_oldest(columns, len(times) - self.cap)
            return FORGOT
        return ENTERED

    def merge(self, left: Any, right: Any) -> Any:
        """The union of two profiles' events, or of what two plans have kept of one profile."""
        merged = merge_columns(left, right)
        drop_oldest(merged, len(merged[0]) - self.cap)
        return merged


def _closing(steps: tuple[tuple[SequenceView, int], ...]) -> tuple[Closing, ...]:
    by_guard: dict[int | None, list[tuple[str, SequenceView]]] = {}
    for view, bits in steps:
        leaf = view.leaf
        if leaf.enters or bits & leaf.closing:
            guard = None if leaf.enters else leaf.guard(bits)
            by_guard.setdefault(guard, []).append((_way(leaf, bits), view))
    return tuple(_closing_after(guard, found) for guard, found in by_guard.items())


def _way(leaf: SequenceLeaf, bits: int) -> str:
    last = 1 << leaf.shape.steps[-1]
    if leaf.simple and len(leaf.steps) > 1:
        return "pairs" if len(leaf.steps) == 2 else "longer"
    if leaf.holds_until_ended and not bits & last:
        return "ended"
    if leaf.holds_until_ended and not bits & leaf.closing & ~last and len(leaf.steps) > 1:
        return "reopened"
    return "others"


def _closing_after(guard: int | None, found: list[tuple[str, SequenceView]]) -> Closing:
    def timed(way: str) -> tuple[Timed, ...]:
        return tuple((view, view.leaf.key, view.leaf.shape.gaps[-1]) for kind, view in found if kind == way)

    def plain(way: str) -> tuple[SequenceView, ...]:
        return tuple(view for kind, view in found if kind == way)

    return Closing(guard, timed("pairs"), timed("longer"), timed("reopened"), plain("ended"), plain("others"))
