"""`python -m tests.bench.pql`: the engine's speed and the size of its state, as JSON with machine, date and command.

GA4 events if the data is beside the project, synthetic ones otherwise; one user in ten, with whole histories. Times are
CPU time of this one process. `measure.NAIVE`, also in the report, says what the naive loop of `naive_times_slower` is.
Deadlines are fired by the profile's next event, within the measured time.
"""

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.machine import machine
from tests.bench.pql import duck, measure
from tests.bench.pql.definitions import definitions
from tests.bench.pql.workload import USERS_ONE_IN, Workload, load

_ROOT = Path(__file__).parents[3]
_GA4 = _ROOT.parent / "shared" / "data" / "ga4_merch_store"
_NAIVE_TESTS = 1_000_000
"""The naive loop is slow: it sees as many events as make this many evaluations of a segment."""


def main() -> int:
    """Runs all measurements; returns 0."""
    options = _parser().parse_args()
    workload = load(_GA4 if _GA4.is_dir() else None, options.events)
    _say(f"{len(workload.events):,} {workload.source} events of {len(workload.profiles):,} users")
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m tests.bench.pql", *sys.argv[1:]]),
        "machine": machine(),
        "naive_is": measure.NAIVE,
        "source": workload.source,
        "users_one_in": USERS_ONE_IN,
        "events": len(workload.events),
        "profiles": len(workload.profiles),
        "runs": [],
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for count in options.segments:
        report["runs"].append(_run(workload, count, options.quick))
        report["load_after"] = round(os.getloadavg()[0], 2)
        # Written after each size: the largest takes minutes.
        options.output.write_text(json.dumps(report, indent=2) + "\n")
    _say(f"written to {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pql", description=__doc__)
    parser.add_argument("--events", type=int, default=60_000, help="at most this many events")
    parser.add_argument("--segments", type=int, nargs="+", default=[20, 500, 2_000, 10_000], help="sizes of the plan")
    parser.add_argument("--quick", action="store_true", help="one event at a time only, no baselines")
    parser.add_argument("--output", type=Path, default=_ROOT / "tests" / "bench" / "results" / "pql.json")
    return parser


def _run(workload: Workload, count: int, quick: bool) -> dict[str, Any]:
    wanted = definitions(count + 1, workload)
    plan, figures = measure.compiling(wanted[:count], wanted[count])
    states, measured = measure.one_by_one(plan, workload)
    row: dict[str, Any] = {"segments": count, "leaves": len(plan.leaves), **figures, **measured}
    row |= measure.sizes(states) | measure.codec(states)
    states.clear()
    if not quick:
        row["us_per_event_stored_one_by_one"] = measure.stored(plan, workload, 1)
        row["us_per_event_stored_in_micro_batches"] = measure.stored(plan, workload, measure.BATCH)
        row["naive_us_per_event"] = measure.naive(plan, workload, max(50, _NAIVE_TESTS // count // 2))
        row["naive_times_slower"] = round(row["naive_us_per_event"] / row["us_per_event"], 1)
        row["duckdb"] = duck.recompute(workload, wanted[:count])
    _say(json.dumps(row))
    return row


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
