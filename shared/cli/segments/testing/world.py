"""The world of a test file: a clock, definitions, and profiles that remember all that was said about them.

Profiles are decided as the segmentation service decides them: record data through `shared.merge`, everything else
through `shared.pql`. What a definition or a merge changes is found by living the whole life again under the new plan:
the memberships before and after are compared, and the differences carry the clock's now.
"""

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared import merge, pql
from shared.cli.segments.definitions import Definition
from shared.contracts.facts import Fact
from shared.kernel.errors import Rejected

_TENANT = "test"


class Transition(NamedTuple):
    """Who entered or exited what, and when (µs)."""

    at: int
    profile: str
    segment: str
    entered: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a profile at log time `now`: an event, a record, or a change of a list."""

    now: int
    number: int
    event: pql.Event | None = None
    record: Fact | None = None
    listed: tuple[str, bool] | None = None


@dataclass(slots=True)
class Life:
    """One profile with its log, in the order of arrival."""

    id: str
    log: list[Entry] = field(default_factory=list)
    fragments: merge.Fragments = field(default_factory=merge.Fragments)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    state: pql.ProfileState = field(default_factory=pql.new_state)

    @property
    def profile(self) -> pql.Profile:
        return pql.Profile(self.id, self.attributes, frozenset(self.lists))

    def live(self, plan: pql.Plan, entry: Entry) -> tuple[pql.Change, ...]:
        """Apply one entry of the log."""
        before = self.profile
        if entry.record is not None:
            self.fragments = merge.apply(self.fragments, entry.record)
            self.attributes = merge.merged(self.fragments)
        if entry.listed is not None:
            name, on_it = entry.listed
            (self.lists.add if on_it else self.lists.discard)(name)
        outcome = pql.evaluate(plan, self.state, self.profile, entry.event, entry.now, before)
        self.state = outcome.state
        return outcome.changes

    def reach(self, plan: pql.Plan, now: int) -> tuple[pql.Change, ...]:
        """Let time pass up to `now`."""
        outcome = pql.due(plan, self.state, self.profile, now)
        self.state = outcome.state
        return outcome.changes


class World:
    """Everything that the steps of one file act upon. `transitions`: all since they were last taken."""

    def __init__(self, clock: int, schema: pql.Schema) -> None:
        self.clock = clock
        self.plan = pql.build_plan([])
        self.lives: dict[str, Life] = {}
        self.transitions: list[Transition] = []
        self._schema = schema
        self._segments: dict[str, pql.SegmentSpec] = {}
        self._features: dict[str, pql.FeatureSpec] = {}
        self._merged: dict[str, str] = {}
        self._arrivals: list[tuple[int, int, str, Entry]] = []
        self._numbers = itertools.count(1)

    def define(self, definitions: Mapping[str, Definition]) -> None:
        """Create or edit segments. Raises PqlError, and nothing has changed then."""
        specs = dict(self._segments)
        for name, definition in definitions.items():
            version = specs[name].version + 1 if name in specs else 1
            specs[name] = pql.SegmentSpec(name, version, pql.compile_segment(definition.text, self._schema))
        self._adopt(specs, self._features)

    def define_features(self, definitions: Mapping[str, Definition]) -> None:
        """Create or edit features. Raises PqlError, and nothing has changed then."""
        specs = dict(self._features)
        for name, definition in definitions.items():
            specs[name] = pql.FeatureSpec(name, pql.compile_feature(definition.text, self._schema))
        self._adopt(self._segments, specs)

    def remove(self, names: Sequence[str]) -> None:
        """Remove segments; all their members exit. Raises Rejected for one that does not exist."""
        for name in names:
            if name not in self._segments:
                raise Rejected(f"there is no segment `{name}` to remove at this point")
        left = {name: spec for name, spec in self._segments.items() if name not in names}
        self._adopt(left, self._features)

    def _adopt(self, segments: dict[str, pql.SegmentSpec], features: dict[str, pql.FeatureSpec]) -> None:
        plan = pql.build_plan(list(segments.values()), list(features.values()), self.plan)
        self.settle()
        self.plan, self._segments, self._features = plan, segments, features
        for id_, life in sorted(self.lives.items()):
            self._live_again(id_, life.log, before=dict(life.state.members))

    def _live_again(self, id_: str, log: list[Entry], before: Mapping[str, int]) -> None:
        life = Life(id_, log)
        for entry in log:
            life.live(self.plan, entry)
        life.reach(self.plan, self.clock)
        self.lives[id_] = life
        after = life.state.members
        for segment in sorted(before.keys() ^ after.keys()):
            self.transitions.append(Transition(self.clock, id_, segment, segment in after))

    def event(self, profile: str, event: pql.Event, received: int) -> None:
        """An event arrives at `received`: now, or when the clock gets there."""
        self._arrive(profile, received, Entry(received, next(self._numbers), event=event))

    def record(self, profile: str, dataset: str, body: dict[str, Any], received: int) -> None:
        """A record of attributes arrives at `received`."""
        number = next(self._numbers)
        # Steps at one instant have an order here, which log times alone would not tell.
        order = (received << 32) + number
        fact = Fact(f"record-{number}", "record", _TENANT, profile, received, order, dataset, body=body)
        self._arrive(profile, received, Entry(received, number, record=fact))

    def change_list(self, name: str, add: Sequence[str], remove: Sequence[str]) -> None:
        """Put profiles on a static list, and take others off; only the first can bring a profile into being."""
        known = [profile for profile in remove if self.current(profile) in self.lives]
        for profile, on_it in [*((one, True) for one in add), *((one, False) for one in known)]:
            self._arrive(profile, self.clock, Entry(self.clock, next(self._numbers), listed=(name, on_it)))

    def _arrive(self, profile: str, received: int, entry: Entry) -> None:
        if received > self.clock:
            heapq.heappush(self._arrivals, (received, entry.number, profile, entry))
        else:
            self._take(profile, entry)

    def _take(self, profile: str, entry: Entry) -> None:
        profile = self.current(profile)
        life = self.lives.setdefault(profile, Life(profile))
        # Log time never runs backwards for a profile, so the log keeps the time at which it was really decided.
        entry = Entry(max(entry.now, life.state.now), entry.number, entry.event, entry.record, entry.listed)
        life.log.append(entry)
        self._note(profile, life.live(self.plan, entry))

    def current(self, profile: str) -> str:
        """Who a profile is by now: itself, or what it was merged into."""
        while profile in self._merged:
            profile = self._merged[profile]
        return profile

    def advance(self, to: int) -> None:
        """Move the clock; what is due in between fires at its own instant. Raises Rejected for a time in the past."""
        if to < self.clock:
            raise Rejected("the clock only moves forward")
        while self._arrivals and self._arrivals[0][0] <= to:
            received, _, profile, entry = heapq.heappop(self._arrivals)
            self.clock = received
            self.settle()
            self._take(profile, entry)
        self.clock = to
        self.settle()

    def settle(self) -> None:
        """Bring every profile to the clock's now."""
        for profile, life in self.lives.items():
            self._note(profile, life.reach(self.plan, self.clock))

    def merge(self, source: str, into: str) -> None:
        """`source` turns out to be `into`: its memberships end, its log becomes part of the other's."""
        self.settle()
        source, into = self.current(source), self.current(into)
        if source == into:
            raise Rejected(f"`{source}` is merged into `{into}` already")
        gone = self.lives.pop(source, Life(source))
        stays = self.lives.pop(into, Life(into))
        self._merged[source] = into
        for segment in sorted(gone.state.members):
            self.transitions.append(Transition(self.clock, source, segment, False))
        log = sorted([*stays.log, *gone.log], key=lambda entry: (entry.now, entry.number))
        self._live_again(into, log, before=dict(stays.state.members))

    def _note(self, profile: str, changes: Sequence[pql.Change]) -> None:
        self.transitions += (
            Transition(change.effective_at, profile, change.segment_id, change.entered) for change in changes
        )

    def take_transitions(self) -> list[Transition]:
        """All transitions since the last call, ordered by instant, profile and segment."""
        taken, self.transitions = self.transitions, []
        return sorted(taken, key=lambda one: one[:3])

    def members(self, segment: str) -> set[str]:
        """Who is in a segment now; nobody if it does not exist."""
        return {id_ for id_, life in self.lives.items() if segment in life.state.members}

    def features(self, profile: str) -> dict[str, float | None]:
        """All features of a profile now."""
        life = self.lives.get(profile) or Life(profile)
        return pql.read_features(self.plan, life.state, life.profile, self.clock)

    def why(self, profile: str, segment: str) -> str | None:
        """Why a profile is in a segment or not, as a tree of values; None if one of them does not exist."""
        life = self.lives.get(profile)
        if life is None or segment not in self._segments:
            return None
        return str(pql.why(self.plan, life.state, life.profile, segment, self.clock))
