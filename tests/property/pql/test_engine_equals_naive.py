"""The engine and the naive evaluator agree on everything, at every instant."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.pql.scenario import live, scenario

EXAMPLES = int(os.environ.get("FRESHET_FUZZ_EXAMPLES", "400"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**40))
def test_the_engine_agrees_with_the_naive_evaluator(seed: int) -> None:
    story = scenario(seed)

    live(story, steps=8)
