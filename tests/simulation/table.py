"""The table of defects: which invariant found each, and after how many schedules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.mutants import MUTANTS, SCHEDULES_MAX, Mutant, sown
from tests.simulation.runner import run_many

PATH = Path(__file__).with_name("MUTANTS.md")

_HEAD = f"""# Defects the simulator finds

Each row is a defect sown into the runtime in memory (`mutants.py`); schedules run from seed 0 until an invariant
breaks, {SCHEDULES_MAX:,} at most. Written by `python -m tests.simulation --mutants`; a test finds each of them again.

| # | defect | found by | schedules | seed |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One defect's fate. `invariant` is empty when it was not found."""

    defect: str
    invariant: str
    schedules: int
    seed: int

    @property
    def caught(self) -> bool:
        return bool(self.invariant)


def known_seed(defect: Mutant) -> int:
    """The seed that the written table gives, 0 without one."""
    rows = [line.split(" | ") for line in PATH.read_text(encoding="utf-8").splitlines()]
    return next((int(row[-1].strip(" |")) for row in rows if len(row) == 5 and row[1] == defect.name), 0)


def known_seeds() -> list[int]:
    """The seeds that the written table gives."""
    return sorted({known_seed(defect) for defect in MUTANTS})


def hunted(defect: Mutant, schedules: int = SCHEDULES_MAX, first: int = 0) -> Row:
    """Runs schedules with a defect in place until one fails."""
    with sown(defect):
        report = run_many(first, schedules)
    for seed, violations in report.failures.items():
        return Row(defect.name, violations[0].partition(":")[0], report.schedules, seed)
    return Row(defect.name, "", report.schedules, -1)


def rows() -> Iterator[Row]:
    """Hunts every defect."""
    for defect in MUTANTS:
        yield hunted(defect)


def rendered(found: Sequence[Row]) -> str:
    """The table as Markdown."""
    lines = [
        f"| {number} | {row.defect} | {row.invariant or '**not found**'} | {row.schedules} | {row.seed} |"
        for number, row in enumerate(found, 1)
    ]
    return _HEAD + "\n".join(lines) + "\n"
