"""Sequences: the events that match any step, as bits, matched anew when read.

State: [times, events, masks]; bit i of a mask says that the event meets the condition of step i, its time apart.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any

from shared.pql.leaves.base import (
    ANYTHING,
    UNCHANGED,
    Leaf,
    LeafSpec,
    Reading,
    Record,
    drop_oldest,
    insert_entry,
    merge_columns,
)
from shared.pql.leaves.matching import Shape, match
from shared.pql.windows import NEVER, Window


class SequenceLeaf(Leaf):
    """Whether the events that have happened hold the sequence."""

    def __init__(
        self,
        key: int,
        spec: LeafSpec,
        steps: tuple[tuple[Callable[[Record], Any], Window], ...],
        shape: Shape,
    ) -> None:
        super().__init__(key, spec, Window())
        self.steps = steps
        self.shape = shape
        # Plain: nothing is forbidden, and events only leave the windows of steps, so that time alone matches nothing.
        negated = shape.after or any(shape.before)
        self.plain = not negated and all(window.high is None for _, window in steps)
        self.last = 1 << shape.steps[-1]

    def insert(self, state: Any, record: Record, at: int, event: int, now: int) -> Any:
        mask = 0
        for bit, (condition, window) in enumerate(self.steps):
            if condition(record) and not window.is_past(at, now):
                mask |= 1 << bit
        if not mask:
            return None
        if state is None:
            state = [[], [], []]
        if not insert_entry(state, at, event, mask):
            return None
        self._trim(state, now)
        return state

    def _trim(self, state: list[list[Any]], now: int) -> None:
        times, masks = state[0], state[2]
        dead = 0
        while dead < len(times) and self._is_dead(times[dead], masks[dead], now):
            dead += 1
        drop_oldest(state, max(dead, len(times) - self.spec.entries))

    def _is_dead(self, at: int, mask: int, now: int) -> bool:
        return all(not mask >> bit & 1 or window.is_past(at, now) for bit, (_, window) in enumerate(self.steps))

    def level(self, state: Any, at: int, now: int) -> int:
        # The newest event, if it is not of the last step, completes nothing; without negation it ends nothing either.
        times = state[0]
        newest = at <= now and times[-1] == at and (len(times) == 1 or times[-2] < at)
        return UNCHANGED if self.plain and newest and not state[2][-1] & self.last else ANYTHING

    def read(self, state: Any, now: int) -> Reading:
        if state is None:
            return False, NEVER
        times = state[0]
        happened = bisect_right(times, now)
        until = times[happened] if happened < len(times) else NEVER
        masks: list[int] = state[2][:happened]
        ends = NEVER
        for bit, (_, window) in enumerate(self.steps):
            if window.low is not None or window.high is not None:
                ends = min(ends, _blank(masks, times, bit, window, now))
        found, pending = match(times[:happened], masks, self.shape, now)
        if found or not self.plain:
            # Without negation events that leave a window can only end a match.
            until = min(until, ends)
        return found, min(until, pending)

    def merge(self, left: Any, right: Any, now: int) -> Any:
        merged = merge_columns(left, right)
        self._trim(merged, now)
        return merged

    def counted(self, state: Any, now: int) -> list[int]:
        return [] if state is None else list(state[1][: bisect_right(state[0], now)])


def _blank(masks: list[int], times: list[int], bit: int, window: Window, now: int) -> int:
    """Clear the bit of events outside the step's window; return when the first of its events crosses an end."""
    low, high = window.ends(now)
    until = NEVER
    if window.high is None:
        # All events have happened, so only the old end matters, and the oldest event inside leaves first.
        start = bisect_left(times, low, 0, len(masks))
        for index in range(start):
            masks[index] &= ~(1 << bit)
        first = next((index for index in range(start, len(masks)) if masks[index] >> bit & 1), None)
        return NEVER if first is None else window.leaves_at(times[first], now)
    for index, mask in enumerate(masks):
        if not mask >> bit & 1:
            continue
        at = times[index]
        if low <= at <= high:
            until = min(until, window.leaves_at(at, now))
        else:
            masks[index] &= ~(1 << bit)
            if at > high:
                until = min(until, window.enters_at(at, now))
    return until
