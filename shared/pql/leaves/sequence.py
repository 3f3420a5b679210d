"""Sequences: views of the series of their steps, matched when an event comes that may end one, or when read.

A sequence that can only ever begin to match (see `lasting`) has, once it has matched, the state MATCHED and needs no
events any more; no other sequence has a state of its own.
"""

from bisect import bisect_left, bisect_right
from typing import Any

from shared.pql.leaves.base import Leaf, LeafSpec, Predicates, Reading, States
from shared.pql.leaves.matching import Shape, match, match_in_order
from shared.pql.windows import NEVER, End, Window

MATCHED = 1


class SequenceLeaf(Leaf):
    """Whether the events that have happened hold the sequence; `sources` are the series of its steps."""

    def __init__(
        self, key: int, spec: LeafSpec, windows: tuple[Window, ...], shape: Shape, predicates: Predicates
    ) -> None:
        super().__init__(key, spec, Window(), predicates)
        self.windows = windows
        self.shape = shape
        self.sources = tuple(source for source, _ in predicates)
        # Plain: nothing is forbidden, and events only leave the windows of steps, so that time alone matches nothing.
        negated = shape.after or any(shape.before)
        self.enters = any(window.high is not None for window in windows)
        self.plain = not negated and not self.enters
        # Lasting: what has matched once has matched for ever, and the events are no longer needed.
        self.lasting = self.plain and not any(window.low is not None for window in windows)
        # Simple: the times of its steps' events are all there is to know.
        free = shape.total is None and not any(shape.before) and all(window == Window() for window in windows)
        self.simple = self.lasting and free
        # Simple but for events that must never follow the last step.
        self.holds_until_ended = (
            bool(shape.after) and free and all(forbidden.within is None for forbidden in shape.after)
        )
        # The steps whose event may change the answer when it is the newest.
        self.closing = 1 << shape.steps[-1] | sum(1 << forbidden.bit for forbidden in shape.after)
        self.steps = tuple(self.sources[bit] for bit in shape.steps)

    def lows(self, bits: int) -> list[End]:
        """The old ends of the windows of some steps."""
        return [window.low for bit, window in enumerate(self.windows) if bits >> bit & 1]

    def lacks_step(self, states: States) -> bool:
        """Tell whether a step has no event at all: then it does not match, and only an event can change that."""
        for key in self.steps:  # noqa: SIM110 (asked for every closing event: a generator takes three times as long)
            if key not in states:
                return True
        return False

    def guard(self, bits: int) -> int | None:
        """The series without which the newest event, meeting these steps, cannot change the answer."""
        if not bits & 1 << self.shape.steps[-1]:
            return self.steps[-1]
        return self.steps[-2] if len(self.steps) > 1 else None

    def ends_with(self, states: States, at: int) -> bool:
        """Tell whether a lasting sequence that has not matched matches with the profile's newest event, at `at`."""
        if self.lacks_step(states):
            return False
        if self.simple:
            return bool(match_in_order(self._times(states), self.shape))
        return bool(self.read(states, at)[0])

    def _times(self, states: States) -> list[list[int]]:
        return [states[key][0] for key in self.steps]

    def read(self, states: States, now: int) -> Reading:
        if self.lasting and self.key in states:
            return True, NEVER
        if self.lacks_step(states):
            return False, NEVER
        if self.simple or self.holds_until_ended:
            found, until = self._match_in_order(states, now)
        else:
            found, until = self._match(states, now)
        if found and self.lasting:
            states[self.key] = MATCHED
            return True, NEVER
        return found, until

    def _match_in_order(self, states: States, now: int) -> Reading:
        times, until = self._times(states), NEVER
        for step, found in enumerate(times):
            if found[-1] > now:
                happened = bisect_right(found, now)
                until = min(until, found[happened])
                times[step] = found[:happened]
        reached = match_in_order(times, self.shape)
        if not reached or self.simple:
            return bool(reached), until
        last, tied = reached[-1], set[int]()
        for forbidden in self.shape.after:
            columns = states.get(self.sources[forbidden.bit])
            if columns is None or columns[0][-1] < last:
                continue
            if columns[0][-1] > now:
                # Those to come have not happened.
                return self._match(states, now)
            if columns[0][-1] > last:
                return False, until
            tied.update(columns[1][bisect_left(columns[0], last) :])
        return not tied or self._is_last_alone(states, last, tied), until

    def _is_last_alone(self, states: States, at: int, tied: set[int]) -> bool:
        """Whether the forbidden events at the instant of the last step are one, and that the last step's own: an event
        never forbids itself."""
        times, events = states[self.steps[-1]]
        return len(tied) == 1 and tied <= set(events[bisect_left(times, at) : bisect_right(times, at)])

    def _match(self, states: States, now: int) -> Reading:
        times, _, masks = self._merged(states)
        happened = bisect_right(times, now)
        until = times[happened] if happened < len(times) else NEVER
        times, masks = times[:happened], masks[:happened]
        ends = NEVER
        for bit, window in enumerate(self.windows):
            if window.low is not None or window.high is not None:
                ends = min(ends, _blank(masks, times, bit, window, now))
        found, pending = match(times, masks, self.shape, now)
        if found or not self.plain:
            # Without negation events that leave a window can only end a match.
            until = min(until, ends)
        return found, min(until, pending)

    def _merged(self, states: States) -> tuple[list[int], list[int], list[int]]:
        """The newest events of all steps as times, hashes and masks, in order; bit i: the event meets step i."""
        met: dict[tuple[int, int], int] = {}
        for bit, key in enumerate(self.sources):
            columns = states.get(key)
            if columns is not None:
                for entry in zip(columns[0], columns[1], strict=True):
                    met[entry] = met.get(entry, 0) | 1 << bit
        entries = sorted(met.items())[-self.spec.entries :]
        return [at for (at, _), _ in entries], [event for (_, event), _ in entries], [mask for _, mask in entries]

    def merge(self, left: Any, right: Any, now: int) -> Any:
        return MATCHED

    def counted(self, states: States, now: int) -> list[int]:
        if self.lasting and self.key in states:
            return []
        times, events, _ = self._merged(states)
        return events[: bisect_right(times, now)]


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
