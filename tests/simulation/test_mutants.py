"""A harness that cannot find a planted defect proves nothing by finding none."""

import pytest

from tests.simulation import table
from tests.simulation.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("defect", MUTANTS, ids=lambda defect: str(defect.name).partition(":")[0].replace(" ", "-"))
def test_a_planted_defect_is_found(defect: Mutant) -> None:
    # Where it was found last; from the first seed on only if the runtime's schedules have changed since.
    row = table.hunted(defect, 20, max(0, table.known_seed(defect) - 10))
    row = row if row.caught else table.hunted(defect)

    assert row.caught, f"{defect.name}: {row.schedules} schedules and no invariant broke"


def test_the_table_lists_every_planted_defect() -> None:
    written = [line.split(" | ")[1] for line in table.PATH.read_text().splitlines() if line[:3].strip("| ").isdigit()]

    assert [defect.name for defect in MUTANTS] == written
    assert len(MUTANTS) >= 12
