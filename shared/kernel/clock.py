"""Instants are int64 microseconds since 1970-01-01T00:00:00Z; time comes in as an argument."""

import time
from datetime import UTC, datetime, timedelta
from typing import NewType, Protocol

Micros = NewType("Micros", int)
"""An instant in microseconds, UTC."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the present instant. Passed in, so that tests and replays move it themselves."""

    def now(self) -> Micros: ...


class WallClock:
    """The machine's clock, for live operation."""

    def now(self) -> Micros:
        return Micros(time.time_ns() // 1000)


class ManualClock:
    """A clock that moves only when told to. Never goes backwards."""

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def now(self) -> Micros:
        return Micros(self._now)

    def advance_to(self, instant: int) -> None:
        self._now = max(self._now, instant)


def parse_instant(text: str) -> Micros:
    """Reads an RFC 3339 instant; a missing zone means UTC.

    >>> parse_instant("1970-01-01T00:00:01.5Z")
    1500000

    Raises ValueError when `text` is not an instant or lies outside years 1 to 9999.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Micros((moment - _EPOCH) // _MICROSECOND)


def format_instant(instant: int) -> str:
    """Writes an instant as RFC 3339 with microseconds only where there are any.

    >>> format_instant(1500000)
    '1970-01-01T00:00:01.500000Z'
    """
    return (_EPOCH + timedelta(microseconds=instant)).isoformat().replace("+00:00", "Z")
