"""The runtime keeps its invariants through thousands of seeded schedules of faults.

`FRESHET_SIMULATION_SCHEDULES` is their number (20,000), `FRESHET_SIMULATION_FIRST` the first seed (0).
"""

import os
import time
from collections.abc import Callable

import pytest

from tests.simulation.plan import plan
from tests.simulation.runner import failure_text, quietly, run, run_many, told

SCHEDULES = int(os.environ.get("FRESHET_SIMULATION_SCHEDULES", "20000"))
FIRST = int(os.environ.get("FRESHET_SIMULATION_FIRST", "0"))
SOMETIMES = frozenset(
    {
        *("gap seen in the log", "gap seen by the fence", "zombie refused", "roll-back replayed", "script torn"),
        *("torn script replayed", "deadline fired", "deadline fired after a crash", "outputs repeated"),
        *("response lost, call repeated", "exit: log truncated", "exit: fenced", "exit: gap", "exit: KafkaError"),
        *("back-pressure hit", "batch split by rebalance", "records delivered again", "killed", "paused", "rebalanced"),
        *("Redis rolled back", "Redis lost", "Redis down", "clock jumped", "dead letters", "dead letters redriven"),
        *("producer's repeat dropped by the broker", "produced batch: acknowledgement lost", "segmentation runs"),
        *("produced batch: not stored", "produced batch: acknowledged late", "repeated facts", "late facts"),
        *("facts at one instant", "wall clock runs", "replays compared"),
    }
)
"""What a run that proves anything has met."""


@pytest.mark.timeout(3_600)
def test_invariants_hold_in_every_schedule(record_property: Callable[[str, object], None]) -> None:
    began = time.process_time()

    report = run_many(FIRST, SCHEDULES)

    record_property("simulation", f"{report}, {time.process_time() - began:.0f} s of CPU")
    assert not report.failures, "\n".join(failure_text(plan(seed)) for seed in report.failures)
    assert SCHEDULES == report.schedules
    missing = sorted(SOMETIMES - {what for what, count in report.seen.items() if count})
    assert SCHEDULES < 5_000 or not missing, f"never happened in {SCHEDULES} schedules: {missing}"


def test_a_seed_tells_the_same_story_again() -> None:
    stories = {told(plan(seed)) for seed in (11, 11, 11)}

    assert 1 == len(stories)


@pytest.mark.parametrize("seed", [4, 16, 24, 54, 70, 79, 136, 400])
def test_what_once_broke_an_invariant_holds(seed: int) -> None:
    """Poison, quiet roll-backs, deadline batches, repeats, evicted keys, phantom outputs, torn deadlines, log time."""
    with quietly():
        world = run(plan(seed))

    assert [] == world.violations
