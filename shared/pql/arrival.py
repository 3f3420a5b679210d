"""An event arrives: it enters the series and leaves that want it, and what it may have changed is marked.

Nothing is judged here. What is marked is a little more than what changes, never less; see "How an event is worked off"
in the README for why so much can be passed over.
"""

from bisect import bisect_left

from shared.pql.index import Tally
from shared.pql.leaves.base import Leaf, Record
from shared.pql.leaves.sequence import MATCHED
from shared.pql.leaves.series import ENTERED, Closing, SequenceView, Series
from shared.pql.plan import Plan
from shared.pql.state import ProfileState


class Arrival:
    """Events entering one profile's history at `now`; `dirty` are the places of the conditions to judge.

    `adopted` says that memberships may lag behind, since the plan is new to the profile.
    """

    __slots__ = ("adopted", "dirty", "features_touched", "now", "plan", "state")

    def __init__(self, plan: Plan, state: ProfileState, now: int) -> None:
        self.plan = plan
        self.state = state
        self.now = now
        self.dirty: set[int] = set()
        self.adopted = False
        self.features_touched = False

    def enter(self, record: Record, at: int, event: int) -> None:
        """Put an event (its time in µs and the hash of its id) where it is wanted."""
        state, now = self.state, self.now
        # Of an event in the order of time only what it ends can change; any other may complete what is there.
        in_order, tied = state.newest <= at <= now, state.newest == at
        if at > state.newest:
            state.newest = at
        leaves = state.leaves
        entered: list[tuple[Series, bool]] = []
        for matcher in self.plan.index.matches(record):
            for tally in matcher.tallies:
                self._tally(tally, record, at, event)
            for leaf in matcher.others:
                self._insert(leaf, record, at, event)
            series = matcher.series
            if series is not None:
                done = series.insert(leaves, at, event, now)
                if done:
                    entered.append((series, done == ENTERED))
        # Sequences look at several series, which must all know the event.
        for series, whole in entered:
            if series.counts:
                self._count(series, whole)
            if in_order:
                for closing in series.closing:
                    if closing.guard is None or closing.guard in leaves:
                        self._close(closing, series, at)
                if whole and not tied:
                    continue
            for view in series.looked_at(in_order, whole, tied):
                self._match(view, at, in_order=False)

    def _tally(self, tally: Tally, record: Record, at: int, event: int) -> None:
        """Count an event in a running total of events, the commonest leaf."""
        leaves, key = self.state.leaves, tally.leaf.key
        kept = leaves.get(key)
        if kept is None:
            if at > self.now:
                self._insert(tally.leaf, record, at, event)
                return
            kept = leaves[key] = [0]
        elif at > self.now or len(kept) > 1:
            self._insert(tally.leaf, record, at, event)
            return
        count = kept[0] = kept[0] + 1
        if tally.in_features:
            self.features_touched = True
        places = tally.numbers.get(count)
        if places is not None:
            self.dirty.update(places)
        if tally.otherwise:
            self.dirty.update(tally.otherwise)

    def _insert(self, leaf: Leaf, record: Record, at: int, event: int) -> None:
        """Put an event into a leaf that keeps its own state."""
        plan, leaves, key = self.plan, self.state.leaves, leaf.key
        changed = leaf.insert(leaves.get(key), record, at, event, self.now)
        if changed is None:
            return
        leaves[key] = changed
        if key in plan.feature_leaves:
            self.features_touched = True
        level = leaf.level(changed, self.now)
        if level < 0:
            self.dirty.update(plan.readers.get(key, ()))
            return
        asked = plan.numbers.get(key)
        if asked is not None and level in asked:
            self.dirty.update(asked[level])
        if key in plan.otherwise:
            self.dirty.update(plan.otherwise[key])

    def _count(self, series: Series, whole: bool) -> None:
        """Mark the conditions that the new count of a window concerns: those that compare it with this very number."""
        now, dirty = self.now, self.dirty
        times: list[int] = self.state.leaves[series.key][0]
        if series.in_features:
            self.features_touched = True
        if not whole or times[-1] > now:
            for view in series.counts:
                dirty.update(view.readers)
            return
        for lookback, bound, numbers, always in series.windows:
            low = now - lookback if lookback is not None else bound.value(now)
            places = numbers.get(len(times) - bisect_left(times, low))
            if places is not None:
                dirty.update(places)
            if always:
                dirty.update(always)

    def _close(self, closing: Closing, series: Series, at: int) -> None:
        """Look for sequences that the series' newest event, at `at`, begins or ends to match."""
        leaves, members = self.state.leaves, self.state.members
        if closing.guard is not None:
            times: list[int] = leaves[closing.guard][0]
            if closing.ended and not self._is_ended(series, times[-1]):
                for view in closing.ended:
                    if view.told_by is None or self.adopted or view.told_by in members:
                        self._touch(view)
            before = bisect_left(times, at)
            if before == 0:
                return
            since = at - times[before - 1]
            for view, key, gap in closing.pairs:
                if key not in leaves and (gap is None or since <= gap):
                    self._matched(view)
            for view, key, gap in closing.longer:
                if key not in leaves and (gap is None or since <= gap) and view.leaf.ends_with(leaves, at):
                    self._matched(view)
            for view, _, gap in closing.reopened:
                if (gap is None or since <= gap) and (view.told_by not in members or self.adopted):
                    self._touch(view)
        for view in closing.others:
            self._match(view, at, in_order=True)

    def _is_ended(self, series: Series, last: int) -> bool:
        """Whether an event of the series before its newest has already followed the last step's newest, at `last`."""
        times: list[int] = self.state.leaves[series.key][0]
        return len(times) > 1 and times[-2] > last

    def _touch(self, view: SequenceView) -> None:
        self.dirty.update(view.readers)
        self.features_touched |= view.in_features

    def _matched(self, view: SequenceView) -> None:
        """Note that a lasting sequence has matched."""
        leaves = self.state.leaves
        leaves[view.leaf.key] = MATCHED
        self._touch(view)
        for key in view.leaf.sources:
            # Nobody may need the series any more.
            if key in leaves and self.plan.series[key].is_settled(leaves):
                del leaves[key]

    def _match(self, view: SequenceView, at: int, in_order: bool) -> None:
        """Mark the conditions of a sequence if the event at `at` may have changed its answer."""
        leaf, leaves = view.leaf, self.state.leaves
        if leaf.lasting:
            if leaf.key in leaves:
                return
            if leaf.ends_with(leaves, at) if in_order else leaf.read(leaves, self.now)[0]:
                self._matched(view)
                return
            if in_order or self.state.newest <= self.now:
                return
        elif leaf.lacks_step(leaves):
            return
        self._touch(view)
