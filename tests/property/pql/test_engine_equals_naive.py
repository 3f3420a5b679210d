"""The engine and the naive evaluator agree on everything, at every instant."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.pql.scenario import live, scenario


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**40))
def test_the_engine_agrees_with_the_naive_evaluator(seed: int) -> None:
    story = scenario(seed)

    live(story, steps=8)
