"""The seeded defects fit the engine's source as it is; how soon the fuzz catches them is measured, not asserted."""

import ast

import pytest

from tests.property.pql.defects import MUTANTS, Mutant
from tests.property.pql.mutants import hunt


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_defect_has_its_place_in_the_source(mutant: Mutant) -> None:
    ast.parse(mutant.source())


def test_the_fuzz_catches_a_defect() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "duplicates not recognised")

    lives = hunt(mutant, 500)

    assert lives is not None
    assert lives <= 500
