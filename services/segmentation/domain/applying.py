"""One fact applied to one profile: what the stream and a preview have in common."""

from msgspec.structs import replace

from services.segmentation.domain.state import State
from shared import merge, pql
from shared.contracts.facts import Fact


def apply_fact(plan: pql.Plan, state: State, profile_id: str, fact: Fact, reached: int = 0) -> pql.Outcome:
    """Judges a fact at its log time, after every deadline before that and before `reached`, the newest log time (µs) of
    what came before it in its partition.

    A fact whose id is known changes nothing, whatever its type: an old record or score that is sent again must not
    come back as the newest. Changes `state` in place, but for `state.engine`, which the caller takes from the outcome.
    """
    if fact.type == "event":
        event = pql.Event(fact.id, fact.occurred_at, fact.event_type, fact.body)
        profile = pql.Profile(profile_id, state.attributes)
        return pql.evaluate(plan, state.engine, profile, event, fact.received_at, reached=reached)
    before = pql.Profile(profile_id, state.attributes)
    known = not remember_attributes(state, fact)
    if not known:
        state.fragments = merge.apply(state.fragments, fact)
        state.attributes = merge.merged(state.fragments)
    after = pql.Profile(profile_id, state.attributes)
    return replace(pql.evaluate(plan, state.engine, after, None, fact.received_at, before, reached), duplicate=known)


def remember_attributes(state: State, fact: Fact) -> bool:
    """Notes that a record or score has been seen; False if it was known."""
    return state.engine.remember(pql.event_hash(fact.guard_id))
