"""Schedules in bulk, one again, or the table of defects.

`python -m tests.simulation --schedules 20000 [--first SEED]` runs many and stops at the first that fails;
`python -m tests.simulation --seed SEED --trace` runs one again and tells its story, with the fewest faults if it fails;
`python -m tests.simulation --mutants` sows each defect and writes MUTANTS.md. Exits 1 if an invariant broke, or if a
defect was not found.
"""

import argparse
import sys
import time

from tests.simulation import table
from tests.simulation.plan import plan
from tests.simulation.runner import Report, reproduction, shrunk, told
from tests.simulation.shares import PROCESSES, run_shared


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the stage runtime through seeded schedules of faults.")
    parser.add_argument("--schedules", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many failed")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="how many share the schedules")
    parser.add_argument("--seed", type=int, help="run this schedule only")
    parser.add_argument("--trace", action="store_true", help="tell the story of the schedule")
    parser.add_argument("--mutants", action="store_true", help="sow the defects and write MUTANTS.md")
    given = parser.parse_args()
    if given.mutants:
        return _mutants()
    first, schedules = (given.first, given.schedules) if given.seed is None else (given.seed, 1)
    began, report = time.monotonic(), Report()
    for start in range(first, first + schedules, 20_000):
        report.add(run_shared(start, min(20_000, first + schedules - start), given.failures, given.processes))
        if schedules > 20_000:
            tell(f"{report.schedules:,} schedules, {len(report.failures)} failed")
        if len(report.failures) >= given.failures:
            break
    for seed, violations in report.failures.items():
        tell(f"seed {seed} fails: {violations[0]}\nagain: {reproduction(seed)}")
    if given.seed is not None and given.trace:
        drawn = plan(given.seed)
        tell(told(shrunk(drawn) if report.failures else drawn))
    tell(f"{report}\n{time.monotonic() - began:.1f} s, {report.schedules:,} schedules from seed {first} on")
    return 1 if report.failures else 0


def _mutants() -> int:
    rows = []
    for row in table.rows():
        tell(str(row))
        rows.append(row)
    table.PATH.write_text(table.rendered(rows), encoding="utf-8")
    return 0 if all(row.caught for row in rows) else 1


def tell(text: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
