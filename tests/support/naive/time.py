"""`occurs`, the naive way: compute the ends of the interval at this now with Python's own calendar, and compare."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared.pql.syntax import Between, CalendarUnit, Call, Distance, DurationLiteral, Node, On, Relative, TimeWord, When
from tests.support.naive.values import EPOCH, Instant, instant, moment

MICROS = {
    "millisecond": 1_000,
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
    "week": 604_800_000_000,
}
MONTHS = {"month": 1, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}


def micros(value: datetime) -> Instant:
    return Instant((value.astimezone(UTC) - EPOCH) // timedelta(microseconds=1))


def unit_start(at: int, unit: str, shift: int = 0, zone: str | None = None) -> Instant:
    """The start of the unit that holds the instant, moved by whole units."""
    info = ZoneInfo(zone) if zone else UTC
    local = moment(at).astimezone(info)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if unit in MONTHS:
        size = MONTHS[unit]
        months = (local.year * 12 + local.month - 1) // size * size + shift * size
        return micros(datetime(months // 12, months % 12 + 1, 1, tzinfo=info))
    if unit == "week":
        return micros((midnight - timedelta(days=midnight.weekday()) + timedelta(weeks=shift)).replace(tzinfo=info))
    if unit == "day":
        return micros((midnight + timedelta(days=shift)).replace(tzinfo=info))
    size = MICROS[unit]
    return Instant(at // size * size + shift * size)


def add(at: int, amount: DurationLiteral, sign: int, zone: str | None = None) -> int:
    """Move an instant by an amount: fixed lengths up to weeks, the calendar from months on."""
    if amount.unit in MICROS:
        return at + sign * amount.count * MICROS[amount.unit]
    local = moment(at).astimezone(ZoneInfo(zone) if zone else UTC)
    months = local.year * 12 + local.month - 1 + sign * amount.count * MONTHS[amount.unit]
    year, month = months // 12, months % 12 + 1
    last = monthrange(year, month)[1]
    if local.day > last:
        local = local.replace(day=1, hour=23, minute=59, second=59, microsecond=999_999)
        return micros(local.replace(year=year, month=month, day=last))
    return micros(local.replace(year=year, month=month))


def start_of(node: TimeWord | CalendarUnit, now: int) -> Instant:
    if isinstance(node, CalendarUnit):
        return unit_start(now, node.unit, {"this": 0, "last": -1, "next": 1}[node.which], node.zone)
    if node.word == "now":
        return Instant(now)
    return unit_start(now, "day", {"today": 0, "yesterday": -1, "tomorrow": 1}[node.word], node.zone)


def end_of(node: Node, start: int, now: int) -> int:
    """The last microsecond of what an anchor denotes."""
    if isinstance(node, CalendarUnit):
        shift = {"this": 0, "last": -1, "next": 1}[node.which]
        return unit_start(now, node.unit, shift + 1, node.zone) - 1
    if isinstance(node, TimeWord) and node.word != "now":
        return unit_start(now, "day", {"today": 1, "yesterday": 0, "tomorrow": 2}[node.word], node.zone) - 1
    if isinstance(node, Call) and node.function == "date":
        return start + MICROS["day"] - 1
    return start


def occurs(at: Any, when: When, anchor_value: Any, now: int) -> bool:
    """Whether an instant lies where `when` says; `anchor_value` evaluates an anchor."""
    if isinstance(at, list):
        return any(occurs(item, when, anchor_value, now) for item in at)
    at = instant(at)
    if at is None:
        return False
    if isinstance(when, Between):
        low, high = instant(anchor_value(when.low)), instant(anchor_value(when.high))
        return bool(low is not None and high is not None and low <= at <= end_of(when.high, high, now))
    anchor = instant(anchor_value(when.anchor))
    if anchor is None:
        return False
    if isinstance(when, Relative):
        return bool(at < anchor if when.direction == "before" else at > end_of(when.anchor, anchor, now))
    if isinstance(when, On):
        if isinstance(when.anchor, TimeWord | CalendarUnit) or (
            isinstance(when.anchor, Call) and when.anchor.function == "date"
        ):
            return bool(anchor <= at <= end_of(when.anchor, anchor, now))
        return bool(unit_start(anchor, "day") <= at < unit_start(anchor, "day", 1))
    signs = {"before": [-1], "after": [1], "from": [-1, 1]}[when.direction]
    return any(_at_distance(at, when, anchor, sign, now) for sign in signs)


def _at_distance(at: int, when: Distance, anchor: int, sign: int, now: int) -> bool:
    amount = when.amount
    zone = when.anchor.zone if isinstance(when.anchor, TimeWord | CalendarUnit) else None
    if when.comparison == "=":
        start = unit_start(anchor, amount.unit, sign * amount.count, zone)
        return start <= at < unit_start(anchor, amount.unit, sign * amount.count + 1, zone)
    same_unit = isinstance(when.anchor, CalendarUnit) and when.anchor.unit == amount.unit
    same_unit |= isinstance(when.anchor, TimeWord) and when.anchor.word != "now" and amount.unit == "day"
    far = unit_start(anchor, amount.unit, sign * amount.count, zone) if same_unit else add(anchor, amount, sign, zone)
    beyond = far - at if sign < 0 else at - far
    inside = at <= anchor if sign < 0 else at >= anchor
    match when.comparison:
        case "<=":
            return inside and beyond <= 0
        case "<":
            return inside and beyond < 0
        case ">":
            return beyond > 0
        case _:
            return beyond >= 0
