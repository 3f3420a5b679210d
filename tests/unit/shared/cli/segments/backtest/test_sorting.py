"""Sorting on disk gives what sorting in memory gives."""

import random
from pathlib import Path

import pytest

from shared.cli.segments.backtest import sorting
from shared.cli.segments.backtest.sorting import Sorter


@pytest.mark.parametrize("buffer_bytes", [1, 100, 10_000_000])
def test_items_come_back_by_instant_and_tie_whatever_fits_into_memory(
    buffer_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "RUNS_MAX", 7)
    chance = random.Random(1)
    items = [
        (chance.randint(-5, 5), number.to_bytes(4, "big"), chance.randbytes(chance.randint(0, 9)))
        for number in range(300)
    ]

    with Sorter(buffer_bytes) as sorter:
        for item in items:
            sorter.add(*item)
        found = list(sorter.sorted())

    assert sorted(items) == found


def test_the_files_are_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with Sorter(1) as sorter:
        sorter.add(1, b"", b"payload")
        during = len(list(tmp_path.iterdir()))

    assert (1, []) == (during, list(tmp_path.iterdir()))
