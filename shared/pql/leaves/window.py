"""Aggregates over a window that moves: the entries that are in it or may still come into it.

State: [times, events] for plain counts, else [times, events, contributions], ordered by (time, event hash).
"""

from bisect import bisect_left, bisect_right
from typing import Any

from shared.pql.leaves.aggregates import Algebra
from shared.pql.leaves.base import (
    ANYTHING,
    Leaf,
    LeafSpec,
    Prepare,
    Reading,
    Record,
    drop_oldest,
    insert_entry,
    merge_columns,
)
from shared.pql.windows import NEVER, Window, end_value


class WindowLeaf(Leaf):
    """An aggregate of the matching events inside a window; `algebra` is None for a plain count of events."""

    def __init__(
        self, key: int, spec: LeafSpec, window: Window, algebra: Algebra | None, prepare: Prepare | None
    ) -> None:
        super().__init__(key, spec, window)
        self.algebra = algebra
        self.prepare = prepare
        self.low, self.high = window.low, window.high

    def insert(self, state: Any, record: Record, at: int, event: int, now: int, bits: int) -> Any:
        low = -NEVER if self.low is None else end_value(self.low, now)
        if at < low or (self.high is not None and type(self.high) is int and at > self.high):
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

    def _trim(self, state: list[list[Any]], low: int) -> None:
        times = state[0]
        if times and times[0] < low:
            drop_oldest(state, bisect_left(times, low))
        if len(times) > self.spec.entries:
            drop_oldest(state, len(times) - self.spec.entries)

    def _inside(self, state: list[list[Any]], now: int) -> tuple[int, int]:
        low, high = self.window.ends(now)
        return bisect_left(state[0], low), bisect_right(state[0], high)

    def read(self, state: Any, now: int) -> Reading:
        if state is None:
            return (0 if self.algebra is None else self.algebra.over(())), NEVER
        start, end = self._inside(state, now)
        times = state[0]
        value = max(0, end - start) if self.algebra is None else self.algebra.over(state[2][start:end])
        until = NEVER
        if start < end:
            until = self.window.leaves_at(times[start], now)
        if end < len(times):
            until = min(until, self.window.enters_at(times[end], now))
        return value, until

    def reaches(self, state: Any, wanted: int, now: int) -> tuple[bool, int]:
        """Tell whether at least `wanted` (>= 1) events are inside; the horizon is that of this answer, not of the
        count."""
        if state is None:
            return False, NEVER
        start, end = self._inside(state, now)
        times = state[0]
        if end - start >= wanted:
            # It ends when the wanted-th newest leaves; what enters meanwhile can only prolong it.
            return True, self.window.leaves_at(times[end - wanted], now)
        missing = wanted - max(0, end - start)
        if end + missing > len(times):
            return False, NEVER
        return False, self.window.enters_at(times[end + missing - 1], now)

    def level(self, state: Any, at: int, now: int) -> int:
        if self.algebra is not None:
            return ANYTHING
        if self.high is None:
            # Insertion has dropped what is past, so the window holds all entries, if none is still to come.
            return len(state[0]) if state[0][-1] <= now else ANYTHING
        start, end = self._inside(state, now)
        # With events still to come, one more in the window may bring a later answer forward.
        return end - start if end == len(state[0]) else ANYTHING

    def merge(self, left: Any, right: Any, now: int) -> Any:
        merged = merge_columns(left, right)
        self._trim(merged, -NEVER if self.low is None else end_value(self.low, now))
        return merged

    def counted(self, state: Any, now: int) -> list[int]:
        if state is None:
            return []
        start, end = self._inside(state, now)
        return list(state[1][start:end])
