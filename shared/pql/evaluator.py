"""The engine: one record or one passage of time applied to one profile.

Order of one call, which is what makes replays give the same transitions:
1. every horizon before now fires at its own instant, earliest first;
2. the event enters the leaves it matches;
3. what the event, the attributes or a new plan touched is evaluated at now, referred segments before referring ones.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from shared.pql.arrival import Arrival
from shared.pql.context import Context
from shared.pql.plan import Plan
from shared.pql.state import UNKNOWN, ProfileState, event_hash
from shared.pql.windows import NEVER


class Profile(msgspec.Struct, gc=False):
    """The merged view of a profile's record data; `lists` names the static lists it is on."""

    id: str
    attributes: Mapping[str, Any]
    lists: frozenset[str] = frozenset()


class Event(msgspec.Struct, gc=False):
    """An experience event; `occurred_at` in µs UTC is what `timestamp` means, `type` what `eventType` means."""

    id: str
    occurred_at: int
    type: str
    body: Mapping[str, Any]


class Change(msgspec.Struct, frozen=True, gc=False):
    """A transition; `effective_at` (µs) is the deadline if time alone brought it, else the call's now."""

    segment_id: str
    version: int
    entered: bool
    effective_at: int
    by_time: bool


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The new state and what changed; `next_deadline` is when time alone may next change a segment, None for never."""

    state: ProfileState
    changes: tuple[Change, ...]
    features_touched: bool
    next_deadline: int | None
    duplicate: bool


def evaluate(
    plan: Plan,
    state: ProfileState,
    profile: Profile,
    event: Event | None,
    now: int,
    before: Profile | None = None,
    reached: int = 0,
) -> Outcome:
    """Apply an event, or (with None) changed attributes or a changed plan, at `now` (µs UTC, never before state.now).

    `before`: the profile as it was until now, where its attributes or lists change: deadlines that lie between fire
    under those. `reached`: time has been there already for others, so deadlines before it fire first even if `now` is
    earlier. The state may be changed in place; after an exception the caller discards it.
    """
    if now < state.now:
        now = state.now
    if reached < now:
        reached = now
    run = Run(plan, state, profile if before is None else before, now)
    if state.plan != plan.key:
        run.adopt_plan()
    if state.earliest < reached:
        run.pass_time(reached - 1)
        if state.now > now:
            run.now = state.now
    if before is not None:
        run.look_at(profile)
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
        result[feature.spec.name] = as_feature(feature.condition.test(context), kind)
    return result


def as_feature(value: Any, kind: str) -> float | None:
    """A feature's value as a float."""
    if value.__class__ is not int and value.__class__ is not float and value.__class__ is not bool:
        return None
    return value / 1_000_000 if kind in ("duration", "instant") else float(value)


def _context(plan: Plan, state: ProfileState, profile: Profile, now: int) -> Context:
    return Context(profile.id, profile.attributes, profile.lists, state.leaves, state.members, plan.segment_names, now)


class Run(Arrival):
    """One call for one profile. `context` is made when something is judged: most events change nothing."""

    __slots__ = ("_context", "changes", "profile", "removed")

    def __init__(self, plan: Plan, state: ProfileState, profile: Profile, now: int) -> None:
        # Arrival's own, not called: this is made once per event.
        self.plan = plan
        self.state = state
        self.now = now
        self.dirty = set()
        self.adopted = self.features_touched = False
        self.profile = profile
        self.changes: list[Change] = []
        self.removed: Sequence[str] = ()
        self._context: Context | None = None

    @property
    def context(self) -> Context:
        """The profile at the instant that is judged."""
        context = self._context
        if context is None:
            context = self._context = _context(self.plan, self.state, self.profile, self.now)
        return context

    def look_at(self, profile: Profile) -> None:
        """From here on the profile is this."""
        self.profile, self._context = profile, None

    def adopt_plan(self) -> None:
        """Take up a plan new to the profile: mark what it changed, drop what it no longer needs."""
        plan, state = self.plan, self.state
        if state.plan == plan.key:
            return
        self.adopted = self.features_touched = True
        self.removed = sorted(id_ for id_ in state.members if id_ not in plan.positions)
        changed = plan.changed_since.get(state.plan)
        if state.plan == 0:
            blank = not self.profile.attributes and not self.profile.lists
            self.dirty.update(plan.on_blank if blank else plan.on_first_sight)
        elif changed is None:
            self.dirty.update(range(len(plan.conditions)))
        else:
            self._mark(changed)
        for key in [key for key in state.horizons if plan.places.get(key, -1) in self.dirty or key not in plan.places]:
            del state.horizons[key]
        state.earliest = UNKNOWN
        for key in [key for key in state.leaves if key not in plan.state_keys]:
            del state.leaves[key]
        state.plan = plan.key

    def _mark(self, changed: frozenset[str]) -> None:
        """What a change of some definitions makes worth judging again."""
        plan = self.plan
        for id_ in changed:
            position = plan.positions.get(id_)
            if position is not None:
                self.dirty.add(plan.segments[position].place)
        # A segment that came or went may be referred to by one that stayed.
        self.dirty.update(segment.place for segment in plan.segments if segment.condition.references & changed)

    def pass_time(self, limit: int) -> None:
        """Fire the horizons up to `limit`, each at its own instant."""
        state, places = self.state, self.plan.places
        while (deadline := state.next_deadline) <= limit:
            touched = [places[key] for key, horizon in state.horizons.items() if horizon <= deadline]
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
        record = {**event.body, "eventType": event.type, "timestamp": event.occurred_at, "_id": event.id}
        self.enter(record, event.occurred_at, hashed)
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
        deadline = state.earliest if state.earliest != UNKNOWN else state.next_deadline
        return Outcome(
            state, tuple(self.changes), self.features_touched, deadline if deadline < NEVER else None, duplicate
        )

    def _evaluate(self, touched: Iterable[int], at: int, by_time: bool) -> None:
        """Evaluate conditions at an instant, and those that refer to a segment that changed."""
        plan, state, context = self.plan, self.state, self.context
        context.now = state.now = at
        members, horizons, conditions, changes = state.members, state.horizons, plan.conditions, self.changes
        queue = sorted(touched)
        # Conditions refer to earlier ones only, so what is added comes after the place the loop has reached.
        for place in queue:
            condition = conditions[place]
            context.until = NEVER
            inside = condition.test(context)
            key, until = condition.key, context.until
            if until < NEVER:
                state.set_horizon(key, until if until > at else at + 1)
            elif key in horizons:
                state.set_horizon(key, NEVER)
            changed = False
            for id_, version in condition.segments:
                if inside is not (id_ in members):
                    changed = True
                    if inside:
                        members[id_] = at
                    else:
                        del members[id_]
                    changes.append(Change(id_, version, inside, at, by_time))
            if changed:
                self.features_touched |= condition.in_features
                for dependant in condition.dependants:
                    index = bisect_left(queue, dependant)
                    if index == len(queue) or queue[index] != dependant:
                        insort(queue, dependant)
