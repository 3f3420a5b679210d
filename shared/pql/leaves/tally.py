"""Aggregates over all of a profile's history: a running accumulator, and the events whose time has not come.

State: [accumulator] or [accumulator, times, events, contributions] while events lie in the future.
"""

from typing import Any

from shared.pql.leaves.aggregates import Algebra
from shared.pql.leaves.base import (
    ANYTHING,
    ENTRIES_MAX,
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
from shared.pql.windows import NEVER, Window


class TallyLeaf(Leaf):
    """count, sum, average, variance, min, max or distinct count of all matching events that have happened."""

    def __init__(self, key: int, spec: LeafSpec, predicates: Predicates, algebra: Algebra, prepare: Prepare) -> None:
        super().__init__(key, spec, Window(), predicates)
        self.algebra = algebra
        self.prepare = prepare
        self.counts_events = spec.function == "count" and spec.body is None

    def insert(self, state: Any, record: Record, at: int, event: int, now: int) -> Any:
        contribution = self.prepare(record)
        if contribution is None:
            return None
        if state is None:
            state = [self.algebra.zero()]
        if at <= now:
            state[0] = self.algebra.add(state[0], contribution)
            return state
        if len(state) == 1:
            state += [[], [], []]
        if not insert_entry(state[1:], at, event, contribution):
            return None
        drop_oldest(state[1:], len(state[1]) - ENTRIES_MAX)
        return state

    def read(self, states: States, now: int) -> Reading:
        state = states.get(self.key)
        if state is None:
            return self.algebra.result(self.algebra.zero()), NEVER
        if len(state) > 1:
            self._settle(state, now)
        return self.algebra.result(state[0]), state[1][0] if len(state) > 1 else NEVER

    def holds(self, moment: Moment, wanted: int) -> bool:
        """Tell whether a plain count is at least `wanted`; the horizon is noted in the moment."""
        state = moment.states.get(self.key)
        if state is None:
            return wanted <= 0
        if len(state) > 1:
            self._settle(state, moment.now)
        reached = bool(state[0] >= wanted)
        if not reached and len(state) > 1 and state[1][0] < moment.until:
            moment.until = state[1][0]
        return reached

    def level(self, state: Any, now: int) -> int:
        if len(state) > 1 or not self.counts_events:
            return ANYTHING
        count: int = state[0]
        return count

    def _settle(self, state: list[Any], now: int) -> None:
        # What has happened by now joins the accumulator for good: now never goes back.
        times = state[1]
        come = 0
        while come < len(times) and times[come] <= now:
            state[0] = self.algebra.add(state[0], state[3][come])
            come += 1
        drop_oldest(state[1:], come)
        if not times:
            del state[1:]

    def merge(self, left: Any, right: Any, now: int) -> Any:
        for state in (left, right):
            if len(state) > 1:
                self._settle(state, now)
        merged = [self.algebra.merge(left[0], right[0])]
        pending = merge_columns(left[1:] or [[], [], []], right[1:] or [[], [], []])
        return merged + pending if pending[0] else merged
