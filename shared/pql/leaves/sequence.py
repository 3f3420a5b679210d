"""Sequences: the events that match any step, as bits, matched anew when read.

State: [times, events, masks]; bit i of a mask says that the event meets the condition of step i, its time apart.
A sequence that can only ever begin to match (see `lasting`) is matched when an event comes, and its state says with
what result: [MATCHED], the events forgotten, or [times, events, masks, UNMATCHED], none of them in the future.
"""

from bisect import bisect_left, bisect_right
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

MATCHED, UNMATCHED = 1, 0


class SequenceLeaf(Leaf):
    """Whether the events that have happened hold the sequence."""

    def __init__(self, key: int, spec: LeafSpec, windows: tuple[Window, ...], shape: Shape) -> None:
        super().__init__(key, spec, Window())
        self.windows = windows
        self.shape = shape
        # Plain: nothing is forbidden, and events only leave the windows of steps, so that time alone matches nothing.
        negated = shape.after or any(shape.before)
        self.enters = any(window.high is not None for window in windows)
        self.leaves = any(window.low is not None for window in windows)
        self.plain = not negated and not self.enters
        # Lasting: what has matched once has matched for ever, and the events are no longer needed.
        self.lasting = self.plain and not self.leaves
        # The events that may change the answer when they are the newest.
        first, last, free = shape.steps[0], shape.steps[-1], shape.total is None and len(shape.steps) > 1
        # Of events that only begin (end) a sequence, without limits of time, the earliest (latest) says it all.
        self.opens = 1 << first if self.lasting and free and shape.gaps[1] is None else 0
        self.ends = 1 << last if self.lasting and free and shape.gaps[-1] is None else 0
        self.closing = 1 << shape.steps[-1] | sum(1 << forbidden.bit for forbidden in shape.after)

    def insert(self, state: Any, record: Record, at: int, event: int, now: int, bits: int) -> Any:
        if self.leaves:
            for bit, window in enumerate(self.windows):
                if bits >> bit & 1 and window.is_past(at, now):
                    bits &= ~(1 << bit)
            if not bits:
                return None
        if state is None:
            state = [[], [], []]
        elif len(state) == 1 or (bits in (self.opens, self.ends) and self._adds_nothing(state, at, bits, now)):
            return None
        if not insert_entry(state, at, event, bits):
            return None
        self._trim(state, now)
        if self.lasting:
            self._settle(state, at, bits, now)
        return state

    def _adds_nothing(self, state: list[Any], at: int, bits: int, now: int) -> bool:
        """Tell whether another event does all that one with these bits could do."""
        times, masks = state[0], state[2]
        if bits == self.opens:
            return any(masks[index] & bits for index in range(bisect_right(times, at)))
        happened = range(bisect_left(times, at), bisect_right(times, now))
        return any(masks[index] & bits for index in happened)

    def _settle(self, state: list[Any], at: int, bits: int, now: int) -> None:
        """Match a lasting sequence now, where the event just inserted can have completed it."""
        times = state[0]
        if times[-1] > now:
            del state[3:]
        elif len(state) == 4 and at == times[-1] and not self._may_end(state, at, bits):
            return
        else:
            self._conclude(state, match(times, state[2], self.shape, now)[0])

    def _may_end(self, state: list[Any], at: int, bits: int) -> bool:
        """Tell whether the newest event may end a sequence: only after an event of the step before, in its gap."""
        if not bits & self.closing:
            return False
        if len(self.shape.steps) == 1:
            return True
        times, masks, gap, before = state[0], state[2], self.shape.gaps[-1], 1 << self.shape.steps[-2]
        start = 0 if gap is None else bisect_left(times, at - gap)
        return any(masks[index] & before for index in range(start, len(masks)))

    def _conclude(self, state: list[Any], found: bool) -> None:
        if found:
            state[:] = [MATCHED]
        else:
            state[3:] = [UNMATCHED]

    def _trim(self, state: list[Any], now: int) -> None:
        times, masks = state[0], state[2]
        dead = 0
        if self.leaves:
            while dead < len(times) and self._is_dead(times[dead], masks[dead], now):
                dead += 1
        dead = max(dead, len(times) - self.spec.entries)
        if dead > 0:
            drop_oldest(state[:3], dead)

    def _is_dead(self, at: int, mask: int, now: int) -> bool:
        return all(not mask >> bit & 1 or window.is_past(at, now) for bit, window in enumerate(self.windows))

    def level(self, state: Any, at: int, now: int) -> int:
        if len(state) == 1:
            return ANYTHING
        times = state[0]
        if len(times) >= self.spec.entries:
            return ANYTHING
        if len(state) > 3 or self._lacks_step(state[2]):
            # It has not matched, and nothing but an event can change that.
            return UNCHANGED
        newest = at <= now and times[-1] == at and (len(times) == 1 or times[-2] < at)
        return UNCHANGED if not self.enters and newest and not state[2][-1] & self.closing else ANYTHING

    def _lacks_step(self, masks: list[int]) -> bool:
        missing = self.shape.needed
        for mask in masks:
            missing &= ~mask
            if not missing:
                return False
        return True

    def read(self, state: Any, now: int) -> Reading:
        if state is None:
            return False, NEVER
        if len(state) != 3:
            return len(state) == 1, NEVER
        times = state[0]
        happened = bisect_right(times, now)
        until = times[happened] if happened < len(times) else NEVER
        masks: list[int] = state[2][:happened]
        if self._lacks_step(masks):
            return False, until
        ends = NEVER
        for bit, window in enumerate(self.windows):
            if window.low is not None or window.high is not None:
                ends = min(ends, _blank(masks, times, bit, window, now))
        found, pending = match(times[:happened], masks, self.shape, now)
        if self.lasting and (found or until == NEVER):
            self._conclude(state, found)
            return found, NEVER
        if found or not self.plain:
            # Without negation events that leave a window can only end a match.
            until = min(until, ends)
        return found, min(until, pending)

    def merge(self, left: Any, right: Any, now: int) -> Any:
        if len(left) == 1 or len(right) == 1:
            return [MATCHED]
        merged = merge_columns(left[:3], right[:3])
        self._trim(merged, now)
        return merged

    def counted(self, state: Any, now: int) -> list[int]:
        return [] if state is None or len(state) == 1 else list(state[1][: bisect_right(state[0], now)])


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
