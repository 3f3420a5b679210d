"""The pure step of the profile store: decided facts in, profiles and readers' views out.

Updates of one profile arrive in order, but a suffix of them may arrive again after segmentation crashed. Hence:
a fact or transition already marked changes nothing, and a repeated fact's vector never replaces a newer one.
"""

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from services.profile_store.domain import history
from services.profile_store.domain.memberships import change_memberships
from services.profile_store.domain.state import ProfileState
from shared import merge
from shared.contracts import redis_keys
from shared.contracts.facts import Fact
from shared.contracts.updates import ProfileUpdate
from shared.contracts.vectors import FeatureVector
from shared.features import pack
from shared.kernel.errors import Reason, Rejected
from shared.runtime.stage import Batch, Effects, Record, Rejection, ViewWrite


@dataclass(slots=True)
class Tally:
    """What one step did, for metrics."""

    facts: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    members_added: int = 0
    members_removed: int = 0
    vectors: int = 0


@dataclass(slots=True)
class _Work:
    """The effects of a batch in the making. `views`: newest write by what it writes to; older ones never leave."""

    states: dict[str, ProfileState]
    effects: Effects[ProfileState]
    tally: Tally
    views: dict[tuple[str, str], ViewWrite] = field(default_factory=dict)


def step(tally: Tally, batch: Batch[ProfileUpdate, ProfileState]) -> Effects[ProfileState]:
    """Merges one partition's micro-batch. Nothing is due here: exits by time come as updates."""
    work = _Work(dict(batch.states), Effects(), tally)
    for record in batch.records:
        try:
            _check(record)
        except Rejected as error:
            work.effects.rejections.append(Rejection(record, error))
        else:
            _merge(work, record.key, record.value)
    work.effects.views.extend(work.views.values())
    return work.effects


def _check(record: Record[ProfileUpdate]) -> None:
    """Raises Rejected before anything has changed."""
    update = record.value
    if update.profile_id != record.key or not record.key:
        raise Rejected(
            f"the update is of profile {update.profile_id!r} but its key is {record.key!r}: readers would look for it "
            "in another partition; produce it with the profile id as key",
            Reason.ENVELOPE,
        )
    if update.transitions and update.memberships is None:
        raise Rejected(
            f"the update of profile {record.key} decided at {update.decided_at} has transitions but lacks "
            "`memberships`, the profile's whole map",
            Reason.ENVELOPE,
        )
    if update.fact is not None and update.fact.type != "event":
        _check_storable(update.fact)


def _check_storable(fact: Fact) -> None:
    """Attributes are kept as msgpack, which has no integers beyond 64 bits."""
    try:
        msgspec.msgpack.encode(fact.body)
    except (OverflowError, RecursionError) as error:
        raise Rejected(f"the attributes of fact {fact.id} cannot be kept: {error}", Reason.SCHEMA) from error


def _merge(work: _Work, key: str, update: ProfileUpdate) -> None:
    effects = work.effects
    state = work.states.get(key)
    if state is None:
        state = work.states[key] = ProfileState()
    repeated = update.fact is not None and not _merge_fact(work.tally, state, update.fact, update.decided_at)
    if update.transitions:
        _move(work, key, state, update)
    for vector in update.vectors:
        if not repeated or vector.as_of >= state.vectors.get(vector.feature_set, 0):
            _keep_vector(work, key, state, vector)
    if update.decided_at > state.last_modified:
        state.last_modified = update.decided_at
    effects.states[key] = state


def _merge_fact(tally: Tally, state: ProfileState, fact: Fact, decided_at: int) -> bool:
    """Merges a fact once; returns False for a repeat.

    A busy profile's whole life comes again after a total loss of Redis, more facts than the ring has marks. What it no
    longer knows is older than all it knows, and new facts are never decided before older ones.
    """
    mark = history.mark(fact.id)
    forgotten = history.is_full(state.facts_seen) and decided_at < state.last_modified
    if forgotten or history.is_marked(state.facts_seen, mark):
        tally.duplicates += 1
        return False
    state.facts_seen = history.marked(state.facts_seen, mark)
    tally.facts[fact.type] += 1
    if fact.type == "event":
        history.note_event(state, fact)
    else:
        state.fragments = merge.apply(state.fragments, fact)
    history.note_identities(state, fact.identities)
    return True


def _move(work: _Work, key: str, state: ProfileState, update: ProfileUpdate) -> None:
    member = key.encode()
    entered, left = change_memberships(state, update)
    for segment in entered:
        name = redis_keys.members_name(segment)
        work.views[name, key] = ViewWrite("add", name, member)
    for segment in left:
        name = redis_keys.members_name(segment)
        work.views[name, key] = ViewWrite("remove", name, member)
    work.tally.members_added += len(entered)
    work.tally.members_removed += len(left)


def _keep_vector(work: _Work, key: str, state: ProfileState, vector: FeatureVector) -> None:
    name = redis_keys.vector_name(vector.feature_set, key)
    work.views[name, ""] = ViewWrite("set", name, pack(vector))
    state.vectors[vector.feature_set] = vector.as_of
    work.tally.vectors += 1
