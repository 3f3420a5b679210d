"""Calendar arithmetic on int microseconds: units, their starts, and shifts by units.

UTC uses the civil-day algorithms of Howard Hinnant ("chrono-Compatible Low-Level Date Algorithms"), which have no range
limit; a named time zone goes through `zoneinfo`, and instants outside the years 1 to 9999 are then treated as UTC.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.pql.syntax import Unit

SECOND = 1_000_000
DAY = 86_400 * SECOND
FIXED: dict[Unit, int] = {
    "millisecond": 1_000,
    "second": SECOND,
    "minute": 60 * SECOND,
    "hour": 3_600 * SECOND,
    "day": DAY,
    "week": 7 * DAY,
}
MONTHS: dict[Unit, int] = {"month": 1, "year": 12, "decade": 120, "century": 1_200, "millennium": 12_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A wall-clock reading, to which the zone is attached afterwards.
_LOCAL_EPOCH = _EPOCH.replace(tzinfo=None)
# 1970-01-01 was a Thursday; ISO weeks start on Monday, three days before it.
_MONDAY_OFFSET = 3 * DAY


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo | None:
    """Return the IANA time zone, or None if there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a proleptic Gregorian date."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since 1970-01-01."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def month_days(year: int, month: int) -> int:
    """The number of days of a month."""
    following = (year + month // 12, month % 12 + 1)
    return days_from_civil(*following, 1) - days_from_civil(year, month, 1)


def to_local(instant: int, zone: str | None) -> int:
    """The wall-clock reading in the zone, as microseconds since a local 1970-01-01T00:00."""
    info = zone_named(zone) if zone else None
    return instant if info is None else instant + _offset_at(instant, info)


def from_local(local: int, zone: str | None) -> int:
    """The instant of a wall-clock reading; of two the earlier, and a skipped one counts as after the gap."""
    info = zone_named(zone) if zone else None
    if info is None:
        return local
    try:
        moment = (_LOCAL_EPOCH + timedelta(microseconds=local)).replace(tzinfo=info)
        return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
    except (OverflowError, ValueError):
        return local


def _offset_at(instant: int, info: tzinfo) -> int:
    try:
        offset = (_EPOCH + timedelta(microseconds=instant)).astimezone(info).utcoffset()
    except (OverflowError, ValueError):
        return 0
    return 0 if offset is None else offset // timedelta(microseconds=1)


def civil(instant: int, zone: str | None = None) -> tuple[int, int, int]:
    """Year, month and day of an instant in a zone (UTC without one)."""
    return civil_from_days(to_local(instant, zone) // DAY)


def shift_months(local: int, months: int) -> int:
    """Move a local reading by months; a day the month does not have becomes the end of its last day.

    The end, and not the same time of day: otherwise a month before 30 March, 00:00, would lie before a month before
    29 March, 12:00, and what has left a window could come back into it.
    """
    days, time_of_day = divmod(local, DAY)
    year, month, day = civil_from_days(days)
    year_shift, month_index = divmod(month - 1 + months, 12)
    year, month = year + year_shift, month_index + 1
    last = month_days(year, month)
    if day > last:
        day, time_of_day = last, DAY - 1
    return days_from_civil(year, month, day) * DAY + time_of_day


def unit_start(instant: int, unit: Unit, zone: str | None = None, shift: int = 0) -> int:
    """The start of the calendar unit holding the instant, moved by `shift` units."""
    local = to_local(instant, zone)
    if unit in MONTHS:
        span = MONTHS[unit]
        year, month, _ = civil_from_days(local // DAY)
        index = (year * 12 + month - 1) // span * span + shift * span
        return from_local(days_from_civil(index // 12, index % 12 + 1, 1) * DAY, zone)
    size = FIXED[unit]
    phase = _MONDAY_OFFSET if unit == "week" else 0
    return from_local((local + phase) // size * size - phase + shift * size, zone)


def add_units(instant: int, unit: Unit, count: int, zone: str | None = None) -> int:
    """Move an instant by units: fixed lengths up to weeks (a day is 24 h), calendar months from months on."""
    if unit in MONTHS:
        return from_local(shift_months(to_local(instant, zone), count * MONTHS[unit]), zone)
    return instant + count * FIXED[unit]
