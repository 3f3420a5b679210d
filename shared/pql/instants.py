"""Reading instants out of values: ISO 8601 text becomes int microseconds UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def parse_instant(text: str) -> int | None:
    """Microseconds of an ISO 8601 date or date-time, without an offset taken as UTC; None if it is neither."""
    if len(text) < 10 or text[4] != "-":
        return None
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def to_instants(value: Any) -> Any:
    """Read an array's items as instants, in place: what is none becomes null, so that the array keeps its length."""
    return [to_instants(item) for item in value] if type(value) is list else to_instant(value)


def to_instant(value: Any) -> Any:
    """Read a value as an instant: integers are microseconds, text is ISO 8601, arrays item by item; else null."""
    kind = type(value)
    if kind is int:
        return value
    if kind is str:
        return parse_instant(value)
    if kind is list:
        return [instant for instant in map(to_instant, value) if instant is not None]
    return None
