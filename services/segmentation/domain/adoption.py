"""A seeded profile comes over to new definitions: a function of its state alone."""

from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.state import State
from shared import pql


def come_over(state: State, profile_id: str, old: Definitions, new: Definitions) -> list[pql.Outcome]:
    """Judges a seeded profile under `new`, at the instant of its seed, after all that `old` brings up to then.

    Returns what `old` brought and what the change brought. Takes the seed away; `state.engine` is the caller's to take
    from the last outcome. A membership that ends because its definition is gone carries the version it was held by.
    """
    seed, state.seed = state.seed, None
    assert seed is not None
    profile = pql.Profile(profile_id, state.attributes)
    before = pql.due(old.plan, state.engine, profile, seed.at)
    if seed.history:
        pql.take_history(old.plan, new.plan, before.state, pql.decode_state(seed.history))
    return [before, pql.due(new.plan, before.state, profile, seed.at)]
