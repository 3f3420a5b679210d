"""One fact applied to one profile: what the stream and a preview have in common."""

from services.segmentation.domain.state import State
from shared import merge, pql
from shared.contracts.facts import Fact


def apply_fact(plan: pql.Plan, state: State, profile_id: str, fact: Fact) -> pql.Outcome:
    """Judges a fact at its log time, after every deadline before that.

    Changes `state` in place, but for `state.engine`, which the caller takes from the outcome.
    """
    event = None
    if fact.type == "event":
        event = pql.Event(fact.id, fact.occurred_at, fact.event_type, fact.body)
    else:
        state.fragments = merge.apply(state.fragments, fact)
        state.attributes = merge.merged(state.fragments)
    return pql.evaluate(plan, state.engine, pql.Profile(profile_id, state.attributes), event, fact.received_at)
