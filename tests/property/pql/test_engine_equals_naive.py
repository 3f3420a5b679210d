"""The engine and the naive evaluator agree on everything, at every instant.

`FRESHET_FUZZ_EXAMPLES` is the number of lives in bulk (20,000), `FRESHET_FUZZ_FIRST` the first seed (0).
"""

import os
import time
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.pql import life
from tests.property.pql.fuzz import reproduction, search
from tests.property.pql.grammar import table
from tests.property.pql.scenario import scenario

EXAMPLES = int(os.environ.get("FRESHET_FUZZ_EXAMPLES", "20000"))
FIRST = int(os.environ.get("FRESHET_FUZZ_FIRST", "0"))
FORMS_FROM = 10_000
"""From so many lives on every form of the grammar must have been written; the rarest comes once in a thousand."""
KINDS = frozenset(
    {
        *("events", "late events", "future events", "doubled events", "events at the same instant"),
        *("null and odd values", "batches of several", "permutations", "merges", "transitions", "transitions by time"),
        "events seen by both of a merge",
        *("declared schemas", "random schemas", "undeclared schemas"),
        *("adding", "editing", "removing", "features changed", "plans taken up in place", "backfills"),
    }
)
"""What lives are made of; none of it may be missing from a thousand of them."""


@settings(max_examples=min(EXAMPLES, 400), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**40), st.integers(1, 8))
def test_the_engine_agrees_with_the_naive_evaluator_on_larger_plans(seed: int, steps: int) -> None:
    story = scenario(seed)

    life.live(story, steps)


@pytest.mark.timeout(3_600)
def test_the_engine_agrees_with_the_naive_evaluator_on_many_small_lives(
    record_property: Callable[[str, object], None],
) -> None:
    began = time.monotonic()

    report = deque(search(FIRST, EXAMPLES, minutes=55), maxlen=1).pop()

    summary = f"{report}, seeds from {FIRST}, {time.monotonic() - began:.0f} s"
    record_property("fuzz", f"{summary}\ndefinitions by the forms of the grammar they use:\n{table(report.forms)}")
    stories = [f"{reproduction(seed)}\n{story}" for seed, story in sorted(report.failures.items())]
    assert not stories, "\n\n".join([str(report), *stories[:3], *map(reproduction, sorted(report.failures))])
    assert EXAMPLES == report.lives
    assert EXAMPLES < 1_000 or KINDS <= {kind for kind, count in report.seen.items() if count}
    assert EXAMPLES < FORMS_FROM or [] == report.unwritten
