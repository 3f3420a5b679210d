"""Calendar arithmetic agrees with Python's own calendar, and moving bounds with brute force."""

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from shared.pql.calendar import DAY, FIXED, add_units, civil, days_from_civil, unit_start
from shared.pql.syntax import Unit
from shared.pql.windows import MovingBound
from tests.support.naive.time import unit_start as naive_start

RANDOM = Random(7)
INSTANTS = [RANDOM.randrange(-(10**15), 4 * 10**15) for _ in range(200)]


def test_dates_agree_with_datetime() -> None:
    for instant in INSTANTS:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)

        assert civil(instant) == (moment.year, moment.month, moment.day)
        assert days_from_civil(moment.year, moment.month, moment.day) == instant // DAY


@pytest.mark.parametrize("unit", ["hour", "day", "week", "month", "year", "decade", "century"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "Asia/Kolkata"])
def test_unit_starts_agree_with_datetime(unit: Unit, zone: str | None) -> None:
    if unit == "hour" and zone is not None:
        pytest.skip("hours of a zone are only shifted by it")
    for instant in INSTANTS[:60]:
        assert unit_start(instant, unit, zone, -1) == naive_start(instant, unit, -1, zone)


def test_a_day_of_a_zone_may_have_23_hours() -> None:
    noon = int(datetime(2024, 3, 31, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()) * 1_000_000

    length = unit_start(noon, "day", "Europe/Berlin", 1) - unit_start(noon, "day", "Europe/Berlin")

    assert length == 23 * FIXED["hour"]


def test_a_day_the_month_lacks_becomes_its_last() -> None:
    march_31 = days_from_civil(2024, 3, 31) * DAY

    assert civil(add_units(march_31, "month", -1)) == (2024, 2, 29)
    assert civil(add_units(march_31, "year", -1)) == (2023, 3, 31)


@pytest.mark.parametrize("months", [-1, -3, -12, 1, 2])
def test_a_later_now_never_looks_further_back(months: int) -> None:
    start = days_from_civil(2024, 1, 27) * DAY
    values = [add_units(start + hour * FIXED["hour"], "month", months) for hour in range(24 * 500)]

    assert values == sorted(values)


@pytest.mark.parametrize(
    "bound",
    [
        MovingBound(micros=-7 * DAY),
        MovingBound(micros=3),
        MovingBound(count=-1),
        MovingBound(count=2, micros=-5),
        MovingBound(count=-1, count_unit="year", zone="Europe/Berlin"),
        MovingBound(unit="week", unit_shift=-1),
        MovingBound(unit="month", micros=-1, zone="America/New_York"),
    ],
)
def test_a_bound_has_not_passed_an_instant_before_it_says_so(bound: MovingBound) -> None:
    for now in INSTANTS[:40]:
        instant = bound.value(now) + RANDOM.randrange(0, 40 * DAY)

        passed = bound.next_above(instant, now)

        assert passed > now
        assert bound.value(passed - 1) <= instant
        if bound.unit is None:
            assert bound.value(passed) > instant
