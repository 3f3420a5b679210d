"""The general leaf: keeps the matching events themselves, cut to the fields the expression reads.

Whatever no special family computes is evaluated over these events when the expression is read. It is always right, and
costs memory and time in proportion to the events it keeps.

State: [times, events, records].
"""

from bisect import bisect_left, bisect_right
from typing import Any

from shared.pql.leaves.base import Leaf, Reading, Record, States, drop_oldest, insert_entry, merge_columns
from shared.pql.windows import NEVER, end_value


def prune(value: Any, names: frozenset[str], whole: tuple[str, ...] = ()) -> Any:
    """Keep only the fields with these names, at every depth; of those in `whole` everything."""
    if value.__class__ is dict:
        return {
            name: child if name in whole else prune(child, names, whole)
            for name, child in value.items()
            if name in names
        }
    if value.__class__ is list:
        return [prune(item, names, whole) for item in value]
    return value


class GeneralLeaf(Leaf):
    """The matching events that have happened and lie in the window, in order of (time, event hash)."""

    def insert(self, state: Any, record: Record, at: int, event: int, now: int) -> Any:
        if self.window.is_past(at, now) or (type(self.window.high) is int and at > self.window.high):
            return None
        if state is None:
            state = [[], [], []]
        kept = record if self.spec.names is None else prune(record, self.spec.names, self.spec.extra)
        if not insert_entry(state, at, event, kept):
            return None
        self._trim(state, now)
        return state

    def _trim(self, state: list[list[Any]], now: int) -> None:
        times = state[0]
        if self.window.low is not None:
            drop_oldest(state, bisect_left(times, end_value(self.window.low, now)))
        drop_oldest(state, len(times) - self.spec.entries)

    def read(self, states: States, now: int) -> Reading:
        state = states.get(self.key)
        if state is None:
            return [], NEVER
        times = state[0]
        low, high = self.window.ends(now)
        start, end = bisect_left(times, low), bisect_right(times, high)
        until = NEVER
        if start < end:
            until = self.window.leaves_at(times[start], now)
        if end < len(times):
            until = min(until, self.window.enters_at(times[end], now))
        return state[2][start:end], until

    def merge(self, left: Any, right: Any, now: int) -> Any:
        merged = merge_columns(left, right)
        self._trim(merged, now)
        return merged

    def counted(self, states: States, now: int) -> list[int]:
        state = states.get(self.key)
        if state is None:
            return []
        low, high = self.window.ends(now)
        return list(state[1][bisect_left(state[0], low) : bisect_right(state[0], high)])
