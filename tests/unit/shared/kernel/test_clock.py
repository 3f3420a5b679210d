"""Instants survive the way through text."""

from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.clock import format_instant, parse_instant


@given(st.integers(min_value=-62_135_596_800_000_000, max_value=253_402_300_799_999_999))
def test_every_instant_of_years_1_to_9999_reads_back_exactly(instant: int) -> None:
    assert instant == parse_instant(format_instant(instant))


def test_a_zone_is_honoured_and_a_missing_one_is_utc() -> None:
    assert parse_instant("2026-01-01T00:00:00Z") == parse_instant("2026-01-01T01:00:00+01:00")
    assert parse_instant("2026-01-01T00:00:00Z") == parse_instant("2026-01-01T00:00:00")
