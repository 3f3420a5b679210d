"""One fact applied to one profile: what the stream and a preview have in common."""

from msgspec.structs import replace

from services.segmentation.domain.state import State
from shared import merge, pql
from shared.contracts.facts import Fact
from shared.kernel.clock import Micros


def apply_fact(plan: pql.Plan, state: State, profile_id: str, fact: Fact) -> pql.Outcome:
    """Judges a fact at its log time, after every deadline before that.

    A fact whose id is known changes nothing, whatever its type: an old record or score that is sent again must not
    come back as the newest. Changes `state` in place, but for `state.engine`, which the caller takes from the outcome.
    """
    if fact.type == "event":
        event = pql.Event(fact.id, fact.occurred_at, fact.event_type, fact.body)
        return pql.evaluate(plan, state.engine, pql.Profile(profile_id, state.attributes), event, fact.received_at)
    earlier = _pass_time(plan, state, profile_id, fact.received_at - 1)
    known = not remember_attributes(state, fact)
    if not known:
        state.fragments = merge.apply(state.fragments, fact)
        state.attributes = merge.merged(state.fragments)
    outcome = pql.evaluate(plan, state.engine, pql.Profile(profile_id, state.attributes), None, fact.received_at)
    touched = outcome.features_touched or (earlier is not None and earlier.features_touched)
    changes = (earlier.changes if earlier is not None else ()) + outcome.changes
    return replace(outcome, changes=changes, features_touched=touched, duplicate=known)


def _pass_time(plan: pql.Plan, state: State, profile_id: str, until: int) -> pql.Outcome | None:
    """Fires the deadlines up to `until` under the attributes of before: the new ones did not hold then."""
    engine = state.engine
    if engine.plan != plan.key or engine.next_deadline > until or engine.now > until:
        return None
    outcome = pql.due(plan, engine, pql.Profile(profile_id, state.attributes), Micros(until))
    state.engine = outcome.state
    return outcome


def remember_attributes(state: State, fact: Fact) -> bool:
    """Notes that a record or score has been seen; False if it was known."""
    return state.engine.remember(pql.event_hash(fact.guard_id))
