"""Times as test files write them: absolute, or relative to the clock."""

import re
from dataclasses import dataclass
from fractions import Fraction

from shared.kernel.clock import DAY, HOUR, MINUTE, SECOND, parse_instant

_UNITS = {
    **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), 1),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1_000),
    **dict.fromkeys(("s", "sec", "second", "seconds"), SECOND),
    **dict.fromkeys(("m", "min", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("h", "hour", "hours"), HOUR),
    **dict.fromkeys(("d", "day", "days"), DAY),
    **dict.fromkeys(("w", "week", "weeks"), 7 * DAY),
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµμ]+)\s*")
_RELATIVE = re.compile(r"(?:now\s*(?=[-+]))?([-+])?\s*(?=\d)(.+)")


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time: `absolute` (µs), or `offset` (µs) from the clock."""

    absolute: int | None = None
    offset: int = 0

    def at(self, clock: int) -> int:
        """The instant, given the clock's now."""
        return clock + self.offset if self.absolute is None else self.absolute


NOW = Moment()


def parse_duration(text: str) -> int:
    """Read a duration such as `5s`, `1h30m` or `0.5 days` as µs; raises ValueError saying what is expected.

    >>> parse_duration("1m30s")
    90000000
    """
    total, position = Fraction(0), 0
    while match := _PART.match(text, position):
        unit = _UNITS.get(match[2])
        if unit is None:
            raise ValueError(f"`{match[2]}` is no unit of time; units are us, ms, s, m, h, d and w")
        total += Fraction(match[1]) * unit
        position = match.end()
    if position == 0 or position != len(text):
        raise ValueError(f"`{text}` is no duration; write for example 100ms, 5s, 90m, 1h30m, 7d or 2w")
    if total.denominator != 1:
        raise ValueError(f"`{text}` is no whole number of microseconds")
    return int(total)


def parse_moment(text: str) -> Moment:
    """Read `now`, a duration with or without sign (from the clock), or an ISO 8601 instant (UTC without offset).

    >>> parse_moment("-3d").at(DAY * 10) // DAY
    7
    """
    text = text.strip()
    if text == "now":
        return NOW
    if re.match(r"\d{4}-\d", text):
        try:
            return Moment(absolute=parse_instant(text))
        except ValueError:
            raise ValueError(f"`{text}` is no ISO 8601 instant; write for example 2026-01-01T00:00:00Z") from None
    relative = _RELATIVE.fullmatch(text)
    if relative is None:
        raise ValueError(f"`{text}` is no time; write an ISO 8601 instant, `now`, or for example -3d or +7h")
    offset = parse_duration(relative[2])
    return Moment(offset=-offset if relative[1] == "-" else offset)
