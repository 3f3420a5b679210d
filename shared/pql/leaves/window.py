"""Aggregates over a window that moves: the entries that are in it or may still come into it.

A plain count that looks back from now is a view of its series (`CountLeaf`); sums and the like, and windows that end
before now, keep entries of their own (`WindowLeaf`).
State: [times, events] for plain counts, else [times, events, contributions], ordered by (time, event hash).
"""

from bisect import bisect_left, bisect_right
from typing import Any

from shared.pql.leaves.aggregates import Algebra
from shared.pql.leaves.base import (
    ANYTHING,
    Leaf,
    LeafSpec,
    Moment,
    Predicates,
    Prepare,
    Reading,
    Record,
    States,
    drop_oldest,
    insert_entry,
    merge_columns,
)
from shared.pql.windows import NEVER, MovingBound, Window, end_value


class WindowLeaf(Leaf):
    """An aggregate of the matching events inside a window; `algebra` is None for a plain count of events."""

    def __init__(
        self,
        key: int,
        spec: LeafSpec,
        window: Window,
        predicates: Predicates,
        algebra: Algebra | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        super().__init__(key, spec, window, predicates)
        self.source = key
        self.algebra = algebra
        self.prepare = prepare

    def insert(self, state: Any, record: Record, at: int, event: int, now: int) -> Any:
        low = self._low(now)
        high = self.window.high
        if at < low or (type(high) is int and at > high):
            return None
        contribution = None
        if self.prepare is not None:
            contribution = self.prepare(record)
            if contribution is None:
                return None
        if state is None:
            state = [[], []] if self.prepare is None else [[], [], []]
        if not insert_entry(state, at, event, contribution):
            return None
        self._trim(state, low)
        return state

    def _low(self, now: int) -> int:
        return -NEVER if self.window.low is None else end_value(self.window.low, now)

    def _trim(self, state: list[list[Any]], low: int) -> None:
        times = state[0]
        if times and times[0] < low:
            drop_oldest(state, bisect_left(times, low))
        if len(times) > self.spec.entries:
            drop_oldest(state, len(times) - self.spec.entries)

    def inside(self, state: list[list[Any]], now: int) -> tuple[int, int]:
        """The indices between which entries lie in the window."""
        low, high = self.window.ends(now)
        return bisect_left(state[0], low), bisect_right(state[0], high)

    def read(self, states: States, now: int) -> Reading:
        state = states.get(self.source)
        if state is None:
            return (0 if self.algebra is None else self.algebra.over(())), NEVER
        start, end = self.inside(state, now)
        times = state[0]
        value = max(0, end - start) if self.algebra is None else self.algebra.over(state[2][start:end])
        until = NEVER
        if start < end:
            until = self.window.leaves_at(times[start], now)
        if end < len(times):
            until = min(until, self.window.enters_at(times[end], now))
        return value, until

    def reaches(self, states: States, wanted: int, now: int) -> Reading:
        """Tell whether at least `wanted` (>= 1) events are inside; the horizon is that of this answer, not of the
        count."""
        state = states.get(self.source)
        if state is None:
            return False, NEVER
        start, end = self.inside(state, now)
        times = state[0]
        if end - start >= wanted:
            # It ends when the wanted-th newest leaves; what enters meanwhile can only prolong it.
            return True, self.window.leaves_at(times[end - wanted], now)
        missing = wanted - max(0, end - start)
        if end + missing > len(times):
            return False, NEVER
        return False, self.window.enters_at(times[end + missing - 1], now)

    def holds(self, moment: Moment, wanted: int) -> bool:
        """As `reaches`, the horizon noted in the moment."""
        answer, until = self.reaches(moment.states, wanted, moment.now)
        if until < moment.until:
            moment.until = until
        return bool(answer)

    def level(self, state: Any, now: int) -> int:
        if self.algebra is not None:
            return ANYTHING
        start, end = self.inside(state, now)
        # With events still to come, one more in the window may bring a later answer forward.
        return end - start if end == len(state[0]) else ANYTHING

    def merge(self, left: Any, right: Any, now: int) -> Any:
        merged = merge_columns(left, right)
        self._trim(merged, self._low(now))
        return merged

    def counted(self, states: States, now: int) -> list[int]:
        state = states.get(self.source)
        if state is None:
            return []
        start, end = self.inside(state, now)
        return list(state[1][start:end])


class CountLeaf(WindowLeaf):
    """How many events of a series lie between a moving instant and now: a view of `source`."""

    def __init__(self, key: int, spec: LeafSpec, window: Window, predicates: Predicates) -> None:
        super().__init__(key, spec, window, predicates)
        self.source = predicates[0][0]
        assert isinstance(window.low, MovingBound)
        self.low = window.low
        self.lookback = -window.low.micros if window.low.plain else None

    def holds(self, moment: Moment, wanted: int) -> bool:
        state = moment.states.get(self.source)
        if state is None:
            return False
        times, now = state[0], moment.now
        if self.lookback is None or times[-1] > now:
            return super().holds(moment, wanted)
        # All have happened: the wanted-th newest alone decides, and its leaving is the horizon.
        if len(times) < wanted:
            return False
        until = times[-wanted] + self.lookback + 1
        if until <= now:
            return False
        if until < moment.until:
            moment.until = until
        return True
