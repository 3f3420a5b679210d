"""The pure step of segmentation: a person's facts in, decisions out.

For each fact: bring the profile's state forward through the deadlines that lie before it, apply the fact, evaluate
what it touches. The fact leaves together with its decisions as one `ProfileUpdate`.
"""

from dataclasses import dataclass, field

import msgspec

from services.segmentation.domain.applying import apply_fact
from services.segmentation.domain.definitions import Definitions, vector_values
from services.segmentation.domain.state import State, new_state
from shared import pql
from shared.contracts.facts import Fact
from shared.contracts.headers import trace_of
from shared.contracts.memberships import Cause, Membership, ProfileMemberships, Transition
from shared.contracts.topics import FEATURE_VECTORS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS
from shared.contracts.updates import ProfileUpdate
from shared.contracts.vectors import FeatureVector
from shared.kernel.clock import Micros
from shared.kernel.ids import digest_id, transition_id
from shared.runtime.stage import Batch, Due, Effects, Output, Record


@dataclass(slots=True)
class Tally:
    """What a step did, for metrics; whoever reports it clears it."""

    entered: int = 0
    exited: int = 0
    duplicates: int = 0
    vectors: int = 0


@dataclass(slots=True)
class _Work:
    """The effects of a batch in the making. `touched`: per profile, where in `outputs` its newest update with
    changed features stands."""

    definitions: Definitions
    states: dict[str, State]
    effects: Effects[State]
    tally: Tally
    touched: dict[str, int] = field(default_factory=dict)


def step(definitions: Definitions, tally: Tally, batch: Batch[Fact, State]) -> Effects[State]:
    """Decides on one partition's micro-batch. Vectors are emitted once per profile and batch, as of its last fact."""
    work = _Work(definitions, dict(batch.states), Effects(), tally)
    for record in batch.records:
        if record.value.type == "tick":
            # A tick says that log time has reached its instant: deadlines at that very instant are over too.
            work.effects.log_time = max(work.effects.log_time, record.value.received_at + 1)
        else:
            _decide_fact(work, record)
    for due in batch.due:
        _decide_deadline(work, due)
    for key, index in work.touched.items():
        _emit_vectors(work, key, index)
    return work.effects


def _decide_fact(work: _Work, record: Record[Fact]) -> None:
    fact = record.value
    state = work.states.get(record.key)
    if state is None:
        state = work.states[record.key] = new_state(fact.tenant)
    outcome = apply_fact(work.definitions.plan, state, record.key, fact)
    work.effects.log_time = max(work.effects.log_time, fact.received_at)
    work.tally.duplicates += outcome.duplicate
    changed = _settle(work, record.key, state, outcome, Cause("fact", fact.id), record)
    known = None if outcome.duplicate else fact
    if known is None and changed is None:
        return
    if known is not None and outcome.features_touched:
        work.touched[record.key] = len(work.effects.outputs)
    update = _update(state, record.key, Micros(fact.received_at), known, changed)
    work.effects.outputs.append(
        Output(PROFILE_UPDATES, record.key, update, trace_of(record.headers), timestamp_ms=record.timestamp_ms)
    )


def _decide_deadline(work: _Work, due: Due) -> None:
    state = work.states.get(due.key)
    if state is None:  # the profile is gone, and so is its deadline
        work.effects.deadlines[due.key] = None
        return
    profile = pql.Profile(due.key, state.attributes)
    outcome = pql.due(work.definitions.plan, state.engine, profile, due.at)
    changed = _settle(work, due.key, state, outcome, Cause("deadline", str(due.at)), None)
    if changed is not None:
        update = _update(state, due.key, due.at, None, changed)
        work.effects.outputs.append(Output(PROFILE_UPDATES, due.key, update))


def _update(
    state: State, key: str, decided_at: Micros, fact: Fact | None, changed: ProfileMemberships | None
) -> ProfileUpdate:
    if changed is None:
        return ProfileUpdate(state.tenant, key, decided_at, fact)
    return ProfileUpdate(state.tenant, key, decided_at, fact, changed.transitions, changed.memberships)


def _settle(
    work: _Work, key: str, state: State, outcome: pql.Outcome, cause: Cause, record: Record[Fact] | None
) -> ProfileMemberships | None:
    """Takes over an evaluation's state and deadline; emits and returns the membership record if anything changed."""
    state.engine = outcome.state
    effects = work.effects
    effects.states[key] = state
    effects.deadlines[key] = None if outcome.next_deadline is None else Micros(outcome.next_deadline)
    transitions = tuple(_transition(key, change, cause) for change in outcome.changes)
    if not transitions:
        return None
    state.sequence += 1
    changed = ProfileMemberships(state.tenant, key, state.sequence, transitions, _memberships(work, state))
    headers = trace_of(record.headers) if record else ()
    timestamp_ms = record.timestamp_ms if record else None
    effects.outputs.append(Output(SEGMENT_MEMBERSHIPS, key, changed, headers, timestamp_ms=timestamp_ms))
    entered = sum(transition.change == "entered" for transition in transitions)
    work.tally.entered += entered
    work.tally.exited += len(transitions) - entered
    return changed


def _memberships(work: _Work, state: State) -> dict[str, Membership]:
    versions = work.definitions.versions
    return {segment: Membership(versions.get(segment, 0), since) for segment, since in state.engine.members.items()}


def _transition(profile: str, change: pql.Change, cause: Cause) -> Transition:
    if change.by_time:
        cause = Cause("deadline", str(change.effective_at))
    segment, version = change.segment_id, change.version
    id_ = transition_id(
        profile, segment, version, "entered" if change.entered else "exited", f"{cause.kind}:{cause.id}"
    )
    return Transition(id_, segment, version, "entered" if change.entered else "exited", change.effective_at, cause)


def _emit_vectors(work: _Work, key: str, index: int) -> None:
    """Computes a profile's vectors as of its newest touching fact, attaches them to its update and emits them."""
    state, output = work.states[key], work.effects.outputs[index]
    update: ProfileUpdate = output.value
    assert update.fact is not None
    now = update.decided_at
    values = pql.read_features(work.definitions.plan, state.engine, pql.Profile(key, state.attributes), now)
    hashes = work.definitions.feature_hashes
    vectors = tuple(
        FeatureVector(
            id=digest_id("vector", key, update.fact.id, hashes[feature_set.name]),
            tenant=state.tenant,
            profile_id=key,
            feature_set=feature_set.name,
            feature_set_hash=hashes[feature_set.name],
            as_of=now,
            values=vector_values(feature_set, values),
        )
        for feature_set in work.definitions.feature_sets
    )
    full = msgspec.structs.replace(update, vectors=vectors)
    work.effects.outputs[index] = Output(PROFILE_UPDATES, key, full, output.headers, timestamp_ms=output.timestamp_ms)
    work.effects.outputs.extend(
        Output(FEATURE_VECTORS, key, vector, output.headers, timestamp_ms=output.timestamp_ms) for vector in vectors
    )
    work.tally.vectors += len(vectors)
