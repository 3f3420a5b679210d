"""The pure step of segmentation: a person's facts in, decisions out.

For each fact: bring the profile's state forward through the deadlines that lie before it, apply the fact, evaluate
what it touches. The fact leaves together with its decisions as one `ProfileUpdate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from services.segmentation.domain import wire
from services.segmentation.domain.adoption import come_over
from services.segmentation.domain.applying import apply_fact
from services.segmentation.domain.definitions import Definitions, vector_values
from services.segmentation.domain.passage import Passage
from services.segmentation.domain.state import State, new_state
from shared import pql
from shared.contracts.facts import Fact
from shared.contracts.headers import trace_of
from shared.contracts.memberships import Cause
from shared.contracts.topics import FEATURE_VECTORS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS
from shared.contracts.vectors import FeatureSetDefinition, FeatureVector
from shared.kernel.clock import Micros
from shared.kernel.ids import digest_id
from shared.runtime.stage import Batch, Due, Effects, Output, Record


@dataclass(slots=True)
class Tally:
    """What a step did, for metrics; whoever reports it clears it."""

    transitions: int = 0
    entered: int = 0
    duplicates: int = 0
    vectors: int = 0

    @property
    def exited(self) -> int:
        return self.transitions - self.entered


@dataclass(slots=True)
class _Work:
    """The effects of a batch in the making. `touched`: per profile, where in `outputs` its newest update with
    changed features stands, and the id of its fact. `partition`: where keyed outputs go, too. `passage` is there
    while definitions change; profiles then live under different ones. `held`: vectors of profiles that something
    else has happened to in this batch since their newest touching fact, computed before it."""

    definitions: Definitions
    states: dict[str, State]
    effects: Effects[State]
    tally: Tally
    partition: int
    passage: Passage | None = None
    touched: dict[str, tuple[int, str]] = field(default_factory=dict)
    held: dict[str, tuple[FeatureVector, ...]] = field(default_factory=dict)


def step(
    definitions: Definitions, tally: Tally, batch: Batch[Fact, State], passage: Passage | None = None
) -> Effects[State]:
    """Decides on one partition's micro-batch. Vectors are emitted once per profile and batch, as of the last fact that
    touched a feature.

    `passage`: the partition is on its way from `definitions` to others.
    """
    work = _Work(definitions, dict(batch.states), Effects(), tally, batch.partition, passage)
    for record in batch.records:
        if record.value.type != "tick":
            _decide_fact(work, record)
    for due in batch.due:
        _decide_deadline(work, due)
    for key, (index, fact_id) in work.touched.items():
        _emit_vectors(work, key, index, fact_id)
    return work.effects


def _decide_fact(work: _Work, record: Record[Fact]) -> None:
    fact, key, effects = record.value, record.key, work.effects
    if work.touched:
        _hold_vectors(work, key)
    state = work.states.get(key)
    if state is None:
        state = work.states[key] = new_state(fact.tenant)
        definitions = work.definitions if work.passage is None else work.passage.newest
    else:
        definitions = work.definitions if work.passage is None else _brought_over(work, key, state)
    outcome = apply_fact(definitions.plan, state, key, fact, record.reached)
    if work.passage is not None:
        work.passage.observe(record.offset, fact, record.reached)
    changed = None
    if outcome.changes:
        changed = _settle(work, key, state, definitions, [(outcome, Cause("fact", fact.id))], record)
    else:
        _take(work, key, state, outcome)
    if outcome.duplicate:
        work.tally.duplicates += 1
        if changed is None:
            return
    known = None if outcome.duplicate else wire.raw_fact(record)
    if known is not None and outcome.features_touched and definitions.feature_sets:
        work.touched[key] = len(effects.outputs), fact.id
        work.held.pop(key, None)
    # The profile's time, not the fact's: a profile's decisions are never told out of order. What a repeat brings is due
    # to time alone, and is told as its deadline would have told it.
    decided_at = state.engine.now if known is not None else outcome.changes[-1].effective_at
    update = wire.update(state.tenant, key, decided_at, known, changed)
    headers = trace_of(record.headers) if record.headers else ()
    effects.outputs.append(Output(PROFILE_UPDATES, key, update, headers, work.partition, record.timestamp_ms))


def _decide_deadline(work: _Work, due: Due) -> None:
    state = work.states.get(due.key)
    if state is None:  # the profile is gone, and so is its deadline
        work.effects.deadlines[due.key] = None
        return
    _hold_vectors(work, due.key)
    if work.passage is not None and work.passage.seeding:
        if work.passage.seed(due.key, state, due.at):
            work.effects.states[due.key] = state
        return
    definitions = work.definitions if work.passage is None else _brought_over(work, due.key, state)
    profile = pql.Profile(due.key, state.attributes)
    outcome = pql.due(definitions.plan, state.engine, profile, due.at)
    changed = _settle(work, due.key, state, definitions, [(outcome, Cause("deadline", str(due.at)))], None)
    if changed is not None:
        update = wire.update(state.tenant, due.key, due.at, None, changed)
        work.effects.outputs.append(Output(PROFILE_UPDATES, due.key, update, (), work.partition))


def _brought_over(work: _Work, key: str, state: State) -> Definitions:
    """Returns the definitions that a profile lives under, after bringing it over if it carries a seed.

    What that changes leaves as an update of its own, before whatever has touched the profile.
    """
    assert work.passage is not None
    old, new = work.passage.definitions_of(state), work.passage.target
    if new is None or state.seed is None or not work.passage.way.takes_over(state):
        return old
    at = Micros(state.seed.at)
    # Definitions may come back to what they were; where the profile's sequence stands tells the two times apart.
    cause = Cause("definition", f"{new.id}:{state.sequence}")
    brought, made = come_over(state, key, old, new.definitions)
    outcomes = [(brought, Cause("deadline", str(at))), (made, cause)]
    changed = _settle(work, key, state, new.definitions, outcomes, None, old.versions)
    sets = [f for f in new.definitions.feature_sets if old.feature_hashes.get(f.name) != f.hash]
    vectors = _vectors(new.definitions, key, state, at, f"definition:{cause.id}", sets)
    if changed is not None or vectors:
        update = msgspec.structs.replace(wire.update(state.tenant, key, at, None, changed), vectors=vectors)
        work.effects.outputs.append(Output(PROFILE_UPDATES, key, update, (), work.partition))
        _put_out(work, key, vectors)
    return new.definitions


def _settle(
    work: _Work,
    key: str,
    state: State,
    definitions: Definitions,
    outcomes: Sequence[tuple[pql.Outcome, Cause]],
    record: Record[Fact] | None,
    left: Mapping[str, int] | None = None,
) -> wire.WireMemberships | None:
    """Takes over an evaluation's state and deadline; emits and returns the membership record if anything changed.

    `left`: versions of the definitions that the profile comes over from.
    """
    _take(work, key, state, outcomes[-1][0])
    versions = definitions.versions if left is None else left
    transitions: list[str] = []
    for made, cause in outcomes:
        if made.changes:
            # Of a removed segment the new plan no longer knows the version; the old one does, and removals must differ.
            transitions += wire.transitions(key, made.changes, cause, versions)
            work.tally.entered += sum([change.entered for change in made.changes])
    if not transitions:
        return None
    # Transitions are counted, not records: into how many records deadlines fall depends on when they are looked at.
    state.sequence += len(transitions)
    shown = _shown(state, definitions, outcomes)
    changed = wire.changed(state.tenant, key, state.sequence, transitions, shown)
    headers = trace_of(record.headers) if record and record.headers else ()
    timestamp_ms = record.timestamp_ms if record else None
    work.effects.outputs.append(Output(SEGMENT_MEMBERSHIPS, key, changed, headers, work.partition, timestamp_ms))
    work.tally.transitions += len(transitions)
    return changed


def _take(work: _Work, key: str, state: State, outcome: pql.Outcome) -> None:
    """Takes over an evaluation's state and deadline."""
    state.engine = outcome.state
    work.effects.states[key] = state
    deadline = outcome.next_deadline
    work.effects.deadlines[key] = None if deadline is None else Micros(deadline)


def _shown(state: State, definitions: Definitions, outcomes: Sequence[tuple[pql.Outcome, Cause]]) -> wire.Shown:
    """Brings what is told of a profile's memberships up to its present ones."""
    shown, members = state.shown, state.engine.members
    if shown is not None and shown.versions is definitions.versions:
        for made, _ in outcomes:
            shown.follow(made.changes)
    else:
        shown = state.shown = wire.Shown(members, definitions.versions)
    assert len(shown.map) == len(members)
    return shown


def _hold_vectors(work: _Work, key: str) -> None:
    """Computes a touched profile's vectors before its time moves on: a vector is what it was at its fact, whatever
    else the batch holds, so that a repeat of it is the same."""
    if key in work.touched and key not in work.held:
        work.held[key] = _vectors_at(work, key, *work.touched[key])


def _vectors_at(work: _Work, key: str, index: int, fact_id: str) -> tuple[FeatureVector, ...]:
    """A profile's vectors as of the touching fact whose update stands at `index`."""
    state, update = work.states[key], work.effects.outputs[index].value
    definitions = work.definitions if work.passage is None else work.passage.definitions_of(state)
    return _vectors(definitions, key, state, update.decided_at, fact_id, definitions.feature_sets)


def _emit_vectors(work: _Work, key: str, index: int, fact_id: str) -> None:
    """Attaches a profile's vectors to the update of its newest touching fact and emits them."""
    output = work.effects.outputs[index]
    vectors = work.held[key] if key in work.held else _vectors_at(work, key, index, fact_id)
    update: wire.WireUpdate = output.value
    full = msgspec.structs.replace(update, vectors=vectors)
    work.effects.outputs[index] = msgspec.structs.replace(output, value=full)
    _put_out(work, key, vectors, output)


def _put_out(work: _Work, key: str, vectors: Sequence[FeatureVector], cause: Output | None = None) -> None:
    headers, at_ms = (cause.headers, cause.timestamp_ms) if cause else ((), None)
    work.effects.outputs.extend(
        Output(FEATURE_VECTORS, key, vector, headers, work.partition, at_ms) for vector in vectors
    )
    work.tally.vectors += len(vectors)


def _vectors(
    definitions: Definitions,
    key: str,
    state: State,
    now: int,
    cause: str,
    feature_sets: Sequence[FeatureSetDefinition],
) -> tuple[FeatureVector, ...]:
    """Computes a profile's vectors of some feature sets; their ids derive from `cause`."""
    if not feature_sets:
        return ()
    values = pql.read_features(definitions.plan, state.engine, pql.Profile(key, state.attributes), now)
    hashes = definitions.feature_hashes
    return tuple(
        FeatureVector(
            id=digest_id("vector", key, cause, hashes[feature_set.name]),
            tenant=state.tenant,
            profile_id=key,
            feature_set=feature_set.name,
            feature_set_hash=hashes[feature_set.name],
            as_of=now,
            values=vector_values(feature_set, values),
        )
        for feature_set in feature_sets
    )
