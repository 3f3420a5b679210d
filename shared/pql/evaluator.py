"""The engine: one record or one passage of time applied to one profile.

Order of one call, which is what makes replays give the same transitions:
1. every horizon before now fires at its own instant, earliest first;
2. the event enters the leaves it matches;
3. what the event, the attributes or a new plan touched is evaluated at now, referred segments before referring ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import chain, repeat
from typing import Any

from shared.pql.context import Context
from shared.pql.leaves.base import UNCHANGED
from shared.pql.plan import Plan
from shared.pql.state import ProfileState, event_hash
from shared.pql.windows import NEVER


@dataclass(slots=True)
class Profile:
    """The merged view of a profile's record data; `lists` names the static lists it is on."""

    id: str
    attributes: Mapping[str, Any]
    lists: frozenset[str] = field(default_factory=frozenset)


@dataclass(slots=True)
class Event:
    """An experience event; `occurred_at` in µs UTC is what `timestamp` means, `type` what `eventType` means."""

    id: str
    occurred_at: int
    type: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A transition; `effective_at` (µs) is the deadline if time alone brought it, else the call's now."""

    segment_id: str
    version: int
    entered: bool
    effective_at: int
    by_time: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The new state and what changed; `next_deadline` is when time alone may next change a segment, None for never."""

    state: ProfileState
    changes: tuple[Change, ...]
    features_touched: bool
    next_deadline: int | None
    duplicate: bool


def evaluate(plan: Plan, state: ProfileState, profile: Profile, event: Event | None, now: int) -> Outcome:
    """Apply an event, or (with None) changed attributes or a changed plan, at `now` (µs UTC, never before state.now).

    The state may be changed in place; after an exception the caller discards it.
    """
    run = Run(plan, state, profile, max(now, state.now))
    run.adopt_plan()
    run.pass_time(run.now - 1)
    duplicate = False
    if event is None:
        run.attributes_changed()
    else:
        duplicate = not run.insert(event)
    return run.finish(duplicate)


def due(plan: Plan, state: ProfileState, profile: Profile, now: int) -> Outcome:
    """Let time pass up to and including `now`; deadlines fire at their own instants."""
    run = Run(plan, state, profile, max(now, state.now))
    run.adopt_plan()
    run.pass_time(run.now)
    return run.finish(duplicate=False)


def read_features(plan: Plan, state: ProfileState, profile: Profile, now: int) -> dict[str, float | None]:
    """All features at `now`; truth is 1 or 0, durations are seconds, instants seconds since 1970, all else null."""
    context = _context(plan, state, profile, max(now, state.now))
    result: dict[str, float | None] = {}
    for feature in plan.features:
        context.until = NEVER
        kind = feature.spec.expression.core.type.kind
        result[feature.spec.name] = as_feature(feature.value(context), kind)
    return result


def as_feature(value: Any, kind: str) -> float | None:
    """A feature's value as a float."""
    if value.__class__ is not int and value.__class__ is not float and value.__class__ is not bool:
        return None
    return value / 1_000_000 if kind in ("duration", "instant") else float(value)


def _context(plan: Plan, state: ProfileState, profile: Profile, now: int) -> Context:
    return Context(profile.id, profile.attributes, profile.lists, state.leaves, state.members, plan.segment_names, now)


class Run:
    """One call for one profile."""

    def __init__(self, plan: Plan, state: ProfileState, profile: Profile, now: int) -> None:
        self.plan = plan
        self.state = state
        self.now = now
        self.context = _context(plan, state, profile, now)
        self.changes: list[Change] = []
        self.dirty: set[int] = set()
        self.removed: list[str] = []
        self.adopted = False
        self.features_touched = False

    def adopt_plan(self) -> None:
        """Take up a plan new to the profile: mark what it changed, drop what it no longer needs."""
        plan, state = self.plan, self.state
        if state.plan == plan.key:
            return
        self.adopted = self.features_touched = True
        self.removed = sorted(id_ for id_ in state.members if id_ not in plan.positions)
        changed = plan.changed_since.get(state.plan)
        if state.plan == 0:
            self.dirty.update(plan.on_first_sight)
        elif changed is None:
            self.dirty.update(range(len(plan.segments)))
        else:
            self.dirty.update(plan.positions[id_] for id_ in changed if id_ in plan.positions)
            # A segment that came or went may be referred to by one that stayed.
            self.dirty.update(p for p, segment in enumerate(plan.segments) if segment.references & changed)
        for id_ in [
            id_ for id_ in state.horizons if plan.positions.get(id_, -1) in self.dirty or id_ not in plan.positions
        ]:
            del state.horizons[id_]
        for key in [key for key in state.leaves if key not in plan.state_keys]:
            del state.leaves[key]
        state.plan = plan.key

    def pass_time(self, limit: int) -> None:
        """Fire the horizons up to `limit`, each at its own instant."""
        state = self.state
        while state.horizons and (deadline := min(state.horizons.values())) <= limit:
            positions = self.plan.positions
            touched = {positions[id_] for id_, horizon in state.horizons.items() if horizon <= deadline}
            self._evaluate(touched, max(deadline, state.now), by_time=True)

    def attributes_changed(self) -> None:
        """Everything that looks at the profile is evaluated again."""
        self._begin_conditions()
        self.dirty.update(self.plan.on_profile)
        self.features_touched |= self.plan.features_use_profile

    def _begin_conditions(self) -> None:
        leaves, context = self.state.leaves, self.context
        context.now = self.now
        for since in self.plan.since.values():
            if since.condition(context):
                leaves.setdefault(since.key, self.now)
            else:
                leaves.pop(since.key, None)

    def insert(self, event: Event) -> bool:
        """Put an event into the leaves it matches; False if it is a duplicate."""
        hashed = event_hash(event.id)
        if not self.state.remember(hashed):
            return False
        plan, leaves, now = self.plan, self.state.leaves, self.now
        record = {**event.body, "eventType": event.type, "timestamp": event.occurred_at, "_id": event.id}
        at, numbers, readers, dirty = event.occurred_at, plan.numbers, plan.readers, self.dirty
        matched, steps = plan.index.matches(record)
        for leaf, bits in chain(zip(matched, repeat(1)), steps.items()):
            key = leaf.key
            changed = leaf.insert(leaves.get(key), record, at, hashed, now, bits)
            if changed is None:
                continue
            leaves[key] = changed
            if key in plan.feature_leaves:
                self.features_touched = True
            level = leaf.level(changed, at, now)
            if level == UNCHANGED:
                continue
            asked = numbers.get(key) if level >= 0 else None
            dirty.update(readers.get(key, ()) if asked is None else asked.get(level, ()))
        return True

    def finish(self, duplicate: bool) -> Outcome:
        """Evaluate what was touched, at now."""
        state = self.state
        if self.adopted:
            self._begin_conditions()
            for id_ in self.removed:
                # The plan no longer knows the version; 0 says that the definition is gone.
                del state.members[id_]
                self.changes.append(Change(id_, 0, False, self.now, False))
        if self.dirty:
            self._evaluate(self.dirty, self.now, by_time=False)
        state.now = self.now
        deadline = state.next_deadline
        return Outcome(
            state, tuple(self.changes), self.features_touched, deadline if deadline < NEVER else None, duplicate
        )

    def _evaluate(self, touched: Iterable[int], at: int, by_time: bool) -> None:
        """Evaluate segments at an instant, and those that refer to a segment that changed."""
        plan, state, context = self.plan, self.state, self.context
        context.now = state.now = at
        queue = list(touched)
        heapify(queue)
        members, horizons, last = state.members, state.horizons, -1
        segments = plan.segments
        while queue:
            position = heappop(queue)
            if position == last:
                continue
            last = position
            segment = segments[position]
            id_ = segment.id
            context.until = NEVER
            inside = segment.condition(context)
            if context.until < NEVER:
                horizons[id_] = max(context.until, at + 1)
            elif id_ in horizons:
                del horizons[id_]
            if inside is (id_ in members):
                continue
            if inside:
                members[id_] = at
            else:
                del members[id_]
            self.changes.append(Change(id_, segment.spec.version, inside, at, by_time))
            self.features_touched |= id_ in plan.feature_references
            for dependant in plan.dependants[position]:
                heappush(queue, dependant)
