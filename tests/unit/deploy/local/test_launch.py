from pathlib import Path

import pytest

from deploy.local.launch import backoff_s, keeps_crashing, record_start


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ([], 0.0),
        ([990.0], 0.0),
        ([980.0, 990.0], 0.5),
        ([970.0, 980.0, 990.0], 1.0),
        ([950.0 + second for second in range(10)], 15.0),
        ([800.0, 900.0], 0.0),
        ([2_000.0, 2_001.0], 0.0),
    ],
    ids=["first", "one restart is free", "second", "doubled", "bounded", "long ago", "clock set back"],
)
def test_the_back_off_grows_with_the_starts_of_the_last_minute(starts: list[float], expected: float) -> None:
    assert backoff_s(starts, now=1_000.0) == expected


def test_starts_are_remembered_between_processes(tmp_path: Path) -> None:
    delays = [record_start(tmp_path / "x.starts", 1_000.0 + second) for second in range(3)]

    assert delays == [0.0, 0.0, 0.5]


def test_a_torn_record_of_starts_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "x.starts").write_text("[1.0, ")

    assert record_start(tmp_path / "x.starts", 1_000.0) == 0.0


def test_five_starts_within_a_minute_are_a_program_that_keeps_crashing(tmp_path: Path) -> None:
    for second in range(4):
        record_start(tmp_path / "x.starts", 1_000.0 + second)
    after_four = keeps_crashing(tmp_path / "x.starts", 1_010.0)
    record_start(tmp_path / "x.starts", 1_010.0)

    assert (after_four, keeps_crashing(tmp_path / "x.starts", 1_020.0)) == (False, True)
    assert not keeps_crashing(tmp_path / "x.starts", 1_100.0)
