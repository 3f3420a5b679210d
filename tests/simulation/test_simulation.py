"""The runtime keeps its invariants through thousands of seeded schedules of faults.

`FRESHET_SIMULATION_SCHEDULES` is their number (20,000), `FRESHET_SIMULATION_FIRST` the first seed (0).
"""

import gc
import multiprocessing
import os
import weakref
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.simulation import table
from tests.simulation.plan import plan
from tests.simulation.runner import failure_text, run, run_many, told
from tests.simulation.shares import run_shared
from tests.simulation.silence import quietly

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
        *("feed runs", "poll met a rebalance", "commit refused", "fetch answered late", "log times that went back"),
        *("ledger replays compared", "deadline fired on the wall clock after a rebalance"),
    }
)
"""What a run that proves anything has met."""


@pytest.mark.timeout(3_600)
def test_invariants_hold_in_every_schedule(record_property: Callable[[str, object], None]) -> None:
    report = run_shared(FIRST, SCHEDULES)

    record_property("simulation", str(report))
    assert not report.failures, "\n".join(failure_text(plan(seed)) for seed in report.failures)
    assert SCHEDULES == report.schedules
    missing = sorted(SOMETIMES - {what for what, count in report.seen.items() if count})
    assert SCHEDULES < 5_000 or not missing, f"never happened in {SCHEDULES} schedules: {missing}"


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    feeds = [seed for seed in range(400) if plan(seed).feed]
    drawn = [plan(seed) for seed in (11, *feeds[:8])]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        elsewhere = list(pool.map(told, drawn))

    here = [told(one) for one in drawn]

    assert elsewhere == here


def test_a_schedule_that_is_over_leaves_nothing_in_memory() -> None:
    """A Lua table that referred to a server kept it for ever: Python's collector does not see through Lua."""
    with quietly():
        world = run(plan(0))
    server = weakref.ref(world.redis)

    del world
    gc.collect()

    assert server() is None


@pytest.mark.parametrize("seed", table.known_seeds())
def test_a_schedule_that_finds_a_defect_holds_without_it(seed: int) -> None:
    report = run_many(seed, 1)

    assert {} == report.failures
