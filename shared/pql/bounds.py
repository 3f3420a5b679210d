"""From the typed tree's bounds and intervals to those of run time."""

from typing import Any

from shared.pql.core import Bound, Const, Core, Interval
from shared.pql.windows import MISSING, MovingBound, Window


def moving_bound(bound: Bound) -> MovingBound:
    """The run-time form of a bound; its anchor is passed apart."""
    return MovingBound(bound.unit, bound.unit_shift, bound.count, bound.count_unit, bound.micros, bound.zone)


def fixed_end(bound: Bound | None) -> Any:
    """An end that needs no profile: an instant, a moving bound, or None if absent; MISSING if it is neither."""
    if bound is None:
        return None
    if bound.anchor is None:
        return moving_bound(bound)
    if isinstance(bound.anchor, Const):
        value = bound.anchor.value
        return moving_bound(bound).value(value) if type(value) is int else MISSING
    return NotImplemented


def window_of(interval: Core | None) -> Window:
    """The run-time form of an interval whose ends need no profile."""
    if not isinstance(interval, Interval):
        return Window()
    return Window(fixed_end(interval.low), fixed_end(interval.high))
