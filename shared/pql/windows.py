"""Interval ends that move with time, and when they will have passed an instant.

All bounds are non-decreasing functions of now. So an instant below a low end stays below for ever, and the next
change of `low <= t <= high` is the first now at which an end has moved past `t`: that is all the engine needs to
know of the future.
"""

from dataclasses import dataclass

from shared.pql.calendar import add_units, unit_start
from shared.pql.syntax import Unit

NEVER = 1 << 62
"""Later than every instant: the horizon of what time alone cannot change."""


@dataclass(frozen=True, slots=True)
class MovingBound:
    """See `core.Bound`, of which this is the form used at run time."""

    unit: Unit | None = None
    unit_shift: int = 0
    count: int = 0
    count_unit: Unit = "month"
    micros: int = 0
    zone: str | None = None

    @property
    def plain(self) -> bool:
        """Whether the bound is its anchor moved by a fixed duration."""
        return self.unit is None and not self.count

    def value(self, anchor: int) -> int:
        """The bound's instant for an anchor (now, for bounds that move)."""
        instant = anchor
        if self.unit is not None:
            instant = unit_start(instant, self.unit, self.zone, self.unit_shift)
        if self.count:
            instant = add_units(instant, self.count_unit, self.count, self.zone)
        return instant + self.micros

    def next_above(self, instant: int, now: int) -> int:
        """The first n > now with value(n) > instant, or an earlier moment before which that cannot be.

        Call it only while value(now) <= instant.
        """
        if self.unit is not None:
            # Between two starts of the unit the bound stands still.
            return max(unit_start(now, self.unit, self.zone, 1), now + 1)
        if not self.count:
            return instant - self.micros + 1
        low, step = now, 1 << 40
        while self.value(low + step) <= instant:
            low, step = low + step, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.value(middle) > instant else (middle, high)
        return high


End = int | MovingBound | None
"""An end of an interval: fixed, moving with now, or absent."""
MISSING = "missing"
"""The end of an interval whose anchor is null: nothing lies in it."""


def end_value(end: int | MovingBound, now: int) -> int:
    """The instant of an end at `now`."""
    return end if isinstance(end, int) else end.value(now)


@dataclass(frozen=True, slots=True)
class Window:
    """The closed interval of event times a history condition looks at."""

    low: End = None
    high: End = None

    def is_past(self, instant: int, now: int) -> bool:
        """Tell whether the instant can never lie in the window again."""
        return self.low is not None and instant < end_value(self.low, now)

    def ends(self, now: int) -> tuple[int, int]:
        """The first and last instant of the window; events after now have not happened yet."""
        low = -NEVER if self.low is None else end_value(self.low, now)
        high = now if self.high is None else min(now, end_value(self.high, now))
        return low, high

    def leaves_at(self, instant: int, now: int) -> int:
        """When an instant inside the window will have left it."""
        return self.low.next_above(instant, now) if isinstance(self.low, MovingBound) else NEVER

    def enters_at(self, instant: int, now: int) -> int:
        """When an instant after the window's end will have entered it: not before it happens."""
        if self.high is None:
            return instant
        if isinstance(self.high, int):
            return max(instant, now + 1) if instant <= self.high else NEVER
        if self.high.value(now) >= instant:
            return instant
        return max(instant, self.high.next_above(instant - 1, now))
