"""The aggregate functions as algebras: what an event contributes, how contributions join, what they come to.

Contributions of one event are prepared once. `add` and `merge` are commutative and associative, so the order of arrival
never shows: sums of floats are kept exactly, as Shewchuk's non-overlapping partials ("Adaptive Precision Floating-Point
Arithmetic", 1997), and rounded once when read.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from shared.pql import arrays
from shared.pql.operators import is_number

_FLOAT_EXACT_INTEGER = 1 << 53


def grow(partials: list[float], value: float) -> None:
    """Add a float to exact partials, in place; beyond a double's range the sum is infinite and stays so."""
    if partials and not math.isfinite(partials[-1]):
        return
    kept = 0
    for partial in partials:
        if abs(value) < abs(partial):
            value, partial = partial, value
        high = value + partial
        low = partial - (high - value)
        if low:
            partials[kept] = low
            kept += 1
        value = high
    partials[kept:] = [value]
    if not math.isfinite(value):
        partials[:] = [math.inf]


def exact_parts(value: Any) -> tuple[float, ...]:
    """A number as floats that sum to it exactly; integers beyond a double's range are clipped to null by the caller."""
    if value.__class__ is float or -_FLOAT_EXACT_INTEGER <= value <= _FLOAT_EXACT_INTEGER:
        return (float(value),)
    high = float(value)
    return (high, *exact_parts(value - int(high)))


def square_parts(value: float) -> tuple[float, float]:
    """value² as two floats, exactly (Dekker's product)."""
    high = value * value
    low = float(Fraction(value) ** 2 - Fraction(high)) if math.isfinite(high) else 0.0
    return high, low


@dataclass(frozen=True, slots=True)
class Algebra:
    """One aggregate function over contributions.

    `prepare` turns the body's value into a contribution or None; `zero`, `add` and `merge` keep a running accumulator
    of plain JSON values (unwindowed leaves); `result` reads it; `over` computes straight from contributions (windows).
    """

    prepare: Callable[[Any], Any]
    zero: Callable[[], Any]
    add: Callable[[Any, Any], Any]
    merge: Callable[[Any, Any], Any]
    result: Callable[[Any], Any]
    over: Callable[[Sequence[Any]], Any]


def _values(value: Any) -> list[Any]:
    return value if value.__class__ is list else [value]


def _prepare_numbers(value: Any) -> Any:
    found = [item for item in _values(value) if is_number(item)]
    return (found[0] if len(found) == 1 else found) if found else None


def _prepare_ordered(value: Any) -> Any:
    found = [item for item in _values(value) if is_number(item) or item.__class__ is str]
    return found or None


def _prepare_count(value: Any) -> Any:
    return sum(1 for item in _values(value) if item is not None) or None


def token(value: Any) -> Any:
    """A short key that two values share exactly when they are equal; text and numbers stand for themselves."""
    kind = value.__class__
    if kind is str:
        return value if not value.startswith("\0") else "\0s" + value
    if kind is float and value.is_integer() and abs(value) < _FLOAT_EXACT_INTEGER:
        return int(value)
    if kind is int or kind is float:
        return value
    return "\0j" + json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"))


def _canonical(value: Any) -> Any:
    if value.__class__ is dict:
        return {key: _canonical(item) for key, item in value.items()}
    if value.__class__ is list:
        return [_canonical(item) for item in value]
    return int(value) if value.__class__ is float and value.is_integer() else value


def _prepare_distinct(value: Any) -> Any:
    found = {token(item): True for item in _values(value) if item is not None and item == item}
    return list(found) or None


def _flat(contributions: Sequence[Any]) -> list[Any]:
    result: list[Any] = []
    for contribution in contributions:
        if contribution.__class__ is list:
            result.extend(contribution)
        else:
            result.append(contribution)
    return result


# A running sum: [count, sum of the integers, partials of the floats].
def _sum_zero() -> list[Any]:
    return [0, 0, []]


def _sum_add(accumulator: list[Any], contribution: Any) -> list[Any]:
    for value in _values(contribution):
        accumulator[0] += 1
        if value.__class__ is int and -(1 << 62) < accumulator[1] + value < 1 << 62:
            accumulator[1] += value
        elif value.__class__ is float and math.isfinite(value):
            grow(accumulator[2], value)
        else:
            for part in exact_parts(value) if abs(value) < 1e300 else ():
                grow(accumulator[2], part)
    return accumulator


def _sum_merge(left: list[Any], right: list[Any]) -> list[Any]:
    merged = [left[0] + right[0], left[1], list(left[2])]
    counted = merged[0]
    merged = _sum_add(merged, [right[1], *right[2]])
    merged[0] = counted
    return merged


def _sum_result(accumulator: list[Any]) -> Any:
    _, whole, partials = accumulator
    return arrays.exact_sum([*exact_parts(whole), *partials]) if partials else whole


def _average_result(accumulator: list[Any]) -> Any:
    return arrays.mean(_sum_result(accumulator), accumulator[0])


# Variance: [count, partials of the sum, partials of the sum of squares].
def _variance_add(accumulator: list[Any], contribution: Any) -> list[Any]:
    for value in map(float, _values(contribution)):
        accumulator[0] += 1
        grow(accumulator[1], value)
        for part in square_parts(value):
            grow(accumulator[2], part)
    return accumulator


def _variance_merge(left: list[Any], right: list[Any]) -> list[Any]:
    merged = [left[0] + right[0], list(left[1]), list(left[2])]
    for target, source in ((merged[1], right[1]), (merged[2], right[2])):
        for part in source:
            grow(target, part)
    return merged


def _variance_result(accumulator: list[Any]) -> Any:
    count, sums, squares = accumulator
    if not all(map(math.isfinite, (*sums, *squares))):
        # The squares have left a double's range; there is no number to give.
        return None
    exact = [sum(map(Fraction, part), Fraction()) for part in (sums, squares)]
    return arrays.exact_variance(exact[0], exact[1], count)


def _extreme(largest: bool) -> Algebra:
    def best(values: Sequence[Any]) -> Any:
        return arrays.extreme(_flat(values), None, largest)

    def better(left: Any, right: Any) -> Any:
        return best([*_values(left), *_values(right)]) if left is not None else best(_values(right))

    return Algebra(_prepare_ordered, lambda: None, better, better, lambda value: value, best)


def _distinct_add(accumulator: dict[Any, bool], contribution: list[Any]) -> dict[Any, bool]:
    for key in contribution:
        accumulator[key] = True
    return accumulator


ALGEBRAS: dict[str, Algebra] = {
    "count": Algebra(_prepare_count, lambda: 0, lambda a, b: a + b, lambda a, b: a + b, lambda a: a, sum),
    "sum": Algebra(
        _prepare_numbers, _sum_zero, _sum_add, _sum_merge, _sum_result, lambda found: arrays.exact_sum(_flat(found))
    ),
    "average": Algebra(
        _prepare_numbers,
        _sum_zero,
        _sum_add,
        _sum_merge,
        _average_result,
        lambda found: arrays.average(_flat(found), None),
    ),
    "variance": Algebra(
        _prepare_numbers,
        lambda: [0, [], []],
        _variance_add,
        _variance_merge,
        _variance_result,
        lambda found: arrays.variance(_flat(found), None),
    ),
    "min": _extreme(largest=False),
    "max": _extreme(largest=True),
    "distinctCount": Algebra(
        _prepare_distinct, dict, _distinct_add, lambda a, b: {**a, **b}, len, lambda found: len(set(_flat(found)))
    ),
}
