"""Matching a sequence of steps in a list of events.

Positive steps P1..Pn match events with strictly increasing times; `gap` limits the time since the step before,
`total` the time from first to last. A negated step forbids matching events between its positive neighbours, both
ends of time included, the neighbours themselves left out; with a `gap` it forbids them only within that time after
the step before it (after the last step: and holds only once that time has passed; before the first step: within
that time before it).

Algorithm: events are taken in time order. For each positive step we keep the events that complete the sequence up to it
and, for each, the latest start of such a match: among all ways to reach an event the latest start is the best, since it
alone decides `total`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.pql.windows import NEVER

Condition = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A negated step between two positive ones: the bit of its condition and the time it looks at."""

    bit: int
    within: int | None


@dataclass(frozen=True, slots=True)
class Shape:
    """A sequence ready to match: bits of positive steps, gaps before them, and what is forbidden before each and at
    the end."""

    steps: tuple[int, ...]
    gaps: tuple[int | None, ...]
    before: tuple[tuple[Forbidden, ...], ...]
    after: tuple[Forbidden, ...]
    total: int | None
    needed: int


def shape_of(steps: Sequence[tuple[int | None, bool]], total: int | None) -> Shape:
    """The shape of steps given as (gap, negated), their index being the bit of their condition."""
    positive: list[int] = []
    gaps: list[int | None] = []
    before: list[tuple[Forbidden, ...]] = []
    forbidden: list[Forbidden] = []
    for bit, (gap, negated) in enumerate(steps):
        if negated:
            forbidden.append(Forbidden(bit, gap))
        else:
            positive.append(bit)
            gaps.append(gap)
            before.append(tuple(forbidden))
            forbidden = []
    return Shape(
        tuple(positive), tuple(gaps), tuple(before), tuple(forbidden), total, sum(1 << bit for bit in positive)
    )


def match(times: Sequence[int], masks: Sequence[int], shape: Shape, now: int) -> tuple[bool, int]:
    """Whether events (ordered by time, all at or before `now`; bit i of a mask: condition i holds) match the shape,
    and when a trailing negated step's time will next have passed."""
    seen = 0
    for mask in masks:
        seen |= mask
    if shape.needed & ~seen:
        return False, NEVER
    matcher = _Matcher(times, masks, shape)
    reached = matcher.starts()
    for index in range(1, len(shape.steps)):
        reached = matcher.advance(reached, index)
        if not reached:
            return False, NEVER
    until = NEVER
    for index, _ in reached:
        found, pending = matcher.quiet_after(index, now)
        if found:
            return True, NEVER
        until = min(until, pending)
    return False, until


def match_in_order(times: Sequence[Sequence[int]], shape: Shape) -> Sequence[int]:
    """The times, ascending, at which events complete the positive steps of a shape without a total, given the times of
    each step's events, ascending; what is forbidden is left out."""
    reached = times[0]
    for later, gap in zip(times[1:], shape.gaps[1:], strict=True):
        if not reached:
            break
        if gap is None:
            reached = later[bisect_right(later, reached[0]) :]
            continue
        found: list[int] = []
        for at in later:
            # The newest event before it is as good as any.
            latest = bisect_left(reached, at) - 1
            if latest >= 0 and at - reached[latest] <= gap:
                found.append(at)
        reached = found
    return reached


class _Matcher:
    def __init__(self, times: Sequence[int], masks: Sequence[int], shape: Shape) -> None:
        self.times = times
        self.masks = masks
        self.shape = shape
        self.unwanted: dict[int, list[int]] = {}
        for forbidden in (item for group in (*shape.before, shape.after) for item in group):
            bit = 1 << forbidden.bit
            self.unwanted[forbidden.bit] = [times[i] for i, mask in enumerate(masks) if mask & bit]

    def _quiet(self, bit: int, low: int, high: int, spared: tuple[int, ...]) -> bool:
        """Tell whether no event with the bit lies in [low, high], some events spared."""
        times = self.unwanted[bit]
        found = bisect_right(times, high) - bisect_left(times, low)
        for index in spared:
            found -= bool(self.masks[index] & 1 << bit and low <= self.times[index] <= high)
        return found <= 0

    def starts(self) -> list[tuple[int, int]]:
        """Events that match the first step, as (index, start time)."""
        bit = 1 << self.shape.steps[0]
        return [
            (index, at)
            for index, at in enumerate(self.times)
            if self.masks[index] & bit
            and all(
                self._quiet(f.bit, at - f.within if f.within is not None else -NEVER, at, (index,))
                for f in self.shape.before[0]
            )
        ]

    def advance(self, reached: list[tuple[int, int]], step: int) -> list[tuple[int, int]]:
        """From the events that complete step - 1, those that complete `step`, each with its latest start."""
        bit, gap = 1 << self.shape.steps[step], self.shape.gaps[step]
        forbidden, total = self.shape.before[step], self.shape.total
        if not forbidden and total is None:
            return self._advance_freely(reached, bit, gap)
        result: list[tuple[int, int]] = []
        for index, at in enumerate(self.times):
            if not self.masks[index] & bit:
                continue
            best = -NEVER
            for previous, start in reversed(reached):
                then = self.times[previous]
                if then >= at or start <= best:
                    continue
                if gap is not None and at - then > gap:
                    break
                if all(self._quiet_between(f, previous, index) for f in forbidden):
                    best = start
                    if total is None:
                        break
            if best > -NEVER and (total is None or at - best <= total):
                result.append((index, best))
        return result

    def _advance_freely(self, reached: list[tuple[int, int]], bit: int, gap: int | None) -> list[tuple[int, int]]:
        """As advance, where the newest event that completes the step before is as good as any."""
        then = [self.times[index] for index, _ in reached]
        result: list[tuple[int, int]] = []
        for index, at in enumerate(self.times):
            if self.masks[index] & bit:
                latest = bisect_left(then, at) - 1
                if latest >= 0 and (gap is None or at - then[latest] <= gap):
                    result.append((index, reached[latest][1]))
        return result

    def _quiet_between(self, forbidden: Forbidden, previous: int, index: int) -> bool:
        low, high = self.times[previous], self.times[index]
        if forbidden.within is not None:
            high = min(high, low + forbidden.within)
        return self._quiet(forbidden.bit, low, high, (previous, index))

    def quiet_after(self, index: int, now: int) -> tuple[bool, int]:
        """Whether nothing forbidden follows the last step, and if only time is missing, when it will have passed."""
        at, until = self.times[index], 0
        for forbidden in self.shape.after:
            high = NEVER if forbidden.within is None else at + forbidden.within
            if not self._quiet(forbidden.bit, at, high, (index,)):
                return False, NEVER
            if forbidden.within is not None and now < high:
                until = max(until, high)
        return until == 0, until or NEVER


def matches_sequence(context: Any, source: Any, conditions: Sequence[Condition], shape: Shape) -> bool:
    """Match over a list of events at the context's instant: the general form; the sequence leaf keeps masks."""
    items = source if source.__class__ is list else []
    events = sorted(
        (item for item in items if item.__class__ is dict and item.get("timestamp").__class__ is int),
        key=lambda item: int(item["timestamp"]),
    )
    masks = [sum(1 << bit for bit, condition in enumerate(conditions) if condition(event)) for event in events]
    kept = [(event["timestamp"], mask) for event, mask in zip(events, masks, strict=True) if mask]
    found, until = match([at for at, _ in kept], [mask for _, mask in kept], shape, context.now)
    context.until = min(context.until, until)
    return found
