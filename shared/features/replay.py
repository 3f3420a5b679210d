"""Replaying a log through the engine that decides live: the vector after each fact, exactly as it was served."""

from dataclasses import dataclass
from typing import Any

from shared.contracts.facts import Fact
from shared.contracts.vectors import FeatureSetDefinition
from shared.features.vectors import vector_values
from shared.kernel.errors import Reason, Rejected
from shared.merge import Fragments, apply, merged
from shared.pql import (
    Event,
    FeatureSpec,
    Plan,
    Profile,
    ProfileState,
    Schema,
    build_plan,
    compile_feature,
    evaluate,
    event_hash,
    new_state,
    read_features,
)


def compile_feature_set(definition: FeatureSetDefinition, schema: Schema | None = None) -> Plan:
    """Compiles a feature set on its own. Raises Rejected naming the feature whose expression is wrong."""
    schema = schema or Schema.permissive()
    specs = []
    for feature in definition.features:
        try:
            specs.append(FeatureSpec(feature.name, compile_feature(feature.expression, schema)))
        except Rejected as error:
            raise Rejected(
                f"feature {feature.name!r} of set {definition.name!r}: {error}", Reason.EXPRESSION
            ) from error
    return build_plan((), specs)


@dataclass(frozen=True, slots=True)
class Moment:
    """A profile just after one of its facts. `at`: the profile's time then (µs), as of which the vector was served: the
    fact's log time, or that of an earlier fact of the profile where log times go back."""

    profile_id: str
    fact: Fact
    at: int
    touched: bool


@dataclass(slots=True)
class _Person:
    state: ProfileState
    profile: Profile
    fragments: Fragments


class FeatureReplay:
    """Feeds facts, in arrival order, to the engine and reads vectors out.

    Holds the state of every profile it has met: replay one partition of the log at a time, with a new object for
    each, to bound memory by the profiles of one partition.
    """

    def __init__(self, definition: FeatureSetDefinition, plan: Plan) -> None:
        self.definition = definition
        self._plan = plan
        self._people: dict[str, _Person] = {}
        self._log_time = 0

    def apply(self, fact: Fact) -> Moment | None:
        """Moves the fact's profile on. Returns None for ticks and for repeats of a fact already seen."""
        reached, self._log_time = self._log_time, max(self._log_time, fact.log_time)
        if fact.type == "tick":
            return None
        person = self._people.get(fact.profile_id)
        if person is None:
            person = _Person(new_state(), Profile(fact.profile_id, {}), Fragments())
            self._people[fact.profile_id] = person
        event, before = None, None
        if fact.type == "event":
            event = Event(fact.id, fact.occurred_at, fact.event_type, fact.body)
        elif not person.state.remember(event_hash(fact.guard_id)):
            return None
        else:
            before = person.profile
            person.fragments = apply(person.fragments, fact)
            person.profile = Profile(fact.profile_id, merged(person.fragments))
        outcome = evaluate(self._plan, person.state, person.profile, event, fact.received_at, before, reached)
        person.state = outcome.state
        if outcome.duplicate:
            return None
        return Moment(fact.profile_id, fact, person.state.now, outcome.features_touched)

    def values(self, moment: Moment) -> tuple[float, ...]:
        """Returns the profile's vector at `moment`, which must be its newest."""
        return self._read(moment.profile_id, moment.at)

    def _read(self, profile_id: str, now: int) -> tuple[float, ...]:
        person = self._people[profile_id]
        features: dict[str, Any] = read_features(self._plan, person.state, person.profile, now)
        return vector_values(self.definition, features)
