"""Times of test files."""

import pytest

from shared.cli.segments.testing.times import parse_duration, parse_moment
from shared.kernel.clock import DAY, HOUR, MINUTE, SECOND

CLOCK = 1_000 * DAY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", CLOCK),
        ("0s", CLOCK),
        ("-100ms", CLOCK - 100_000),
        ("+7h", CLOCK + 7 * HOUR),
        ("now-3d", CLOCK - 3 * DAY),
        ("-1h30m", CLOCK - HOUR - 30 * MINUTE),
        ("1970-01-02T00:00:00Z", DAY),
        ("1970-01-02", DAY),
        ("1970-01-01T02:00:01.5+02:00", SECOND + 500_000),
    ],
)
def test_a_time_is_absolute_or_relative_to_the_clock(text: str, expected: int) -> None:
    assert expected == parse_moment(text).at(CLOCK)


@pytest.mark.parametrize("text", ["5", "5 parsecs", "", "soon", "2026-13-01", "0.0000001s", "--3d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no (unit of )?time|duration|instant|whole number"):
        parse_moment(text)


def test_durations_are_exact_to_the_microsecond() -> None:
    assert parse_duration("2w 1us") == 14 * DAY + 1
