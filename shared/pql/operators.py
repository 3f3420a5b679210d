"""What the operators do with JSON values, nulls and mixed types included: the language table as code.

Two-valued logic: a comparison with null is false. Where one side is an array, the comparison holds if it holds for one
of its items. Text and number never equal each other, nor boolean and number. Nothing here raises, whatever the values.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

_NUMBERS = (int, float)


def get(target: Any, name: str) -> Any:
    """A field; of an array the non-null fields of its items, flattened, and null if there is none."""
    kind = target.__class__
    if kind is dict:
        return target.get(name)
    if kind is list:
        return flatten(get(item, name) for item in target) or None
    return None


def flatten(values: Iterable[Any]) -> list[Any]:
    """The non-null values, arrays among them replaced by their non-null items."""
    result: list[Any] = []
    for value in values:
        if value.__class__ is list:
            result.extend(item for item in value if item is not None)
        elif value is not None:
            result.append(value)
    return result


def is_number(value: Any) -> bool:
    """Tell whether the value is a number; NaN and infinity are none, so that they behave as null."""
    kind = value.__class__
    return kind is int or (kind is float and math.isfinite(value))


def truth(value: Any) -> bool:
    """A value used as a condition: true itself, or an array holding true or an object."""
    if value is True:
        return True
    return value.__class__ is list and any(item is True or item.__class__ is dict for item in value)


def nonempty(value: Any) -> bool:
    """Tell whether an array has items."""
    return value.__class__ is list and len(value) > 0


def same(left: Any, right: Any) -> bool:
    """Equality of two non-array values: exact for text, numeric for numbers, by content for arrays and objects."""
    if left is None or right is None:
        return False
    kind, other = left.__class__, right.__class__
    if kind is other:
        if kind is list:
            return len(left) == len(right) and all(map(alike, left, right))
        if kind is dict:
            return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
        return bool(left == right)
    return kind in _NUMBERS and other in _NUMBERS and bool(left == right)


def alike(left: Any, right: Any) -> bool:
    """Equality inside arrays and objects, where null equals null."""
    return (left is None and right is None) or same(left, right)


def _exists(test: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if left.__class__ is list:
        if right.__class__ is list:
            return test(left, right)
        return any(_exists(test, item, right) for item in left)
    if right.__class__ is list:
        return any(_exists(test, left, item) for item in right)
    return test(left, right)


def equal(left: Any, right: Any) -> bool:
    """`=`."""
    return _exists(same, left, right)


def unequal(left: Any, right: Any) -> bool:
    """`!=`: both sides known and different."""
    return _exists(_differ, left, right)


def _differ(left: Any, right: Any) -> bool:
    if left is None or right is None or left != left or right != right:
        return False
    return not same(left, right)


def _ordered(left: Any, right: Any) -> bool:
    kind, other = left.__class__, right.__class__
    return (kind in _NUMBERS and other in _NUMBERS) or (kind is str and other is str)


def less(left: Any, right: Any) -> bool:
    """`<`: numbers by value, text by code point."""
    return _exists(_less, left, right)


def _less(left: Any, right: Any) -> bool:
    return _ordered(left, right) and left < right


def at_most(left: Any, right: Any) -> bool:
    """`<=`."""
    return _exists(_at_most, left, right)


def _at_most(left: Any, right: Any) -> bool:
    return _ordered(left, right) and left <= right


def greater(left: Any, right: Any) -> bool:
    """`>`."""
    return _exists(_less, right, left)


def at_least(left: Any, right: Any) -> bool:
    """`>=`."""
    return _exists(_at_most, right, left)


def among(value: Any, items: Any) -> bool:
    """`in`: the value, or one of its items, is among the items."""
    if items.__class__ is not list:
        return False
    values = value if value.__class__ is list else (value,)
    return any(same(one, item) for one in values for item in items)


def not_among(value: Any, items: Any) -> bool:
    """`notIn`: both sides known, and the value, or every one of its items, is not among the items."""
    if items.__class__ is not list or value is None or value == [] or value != value:
        return False
    values = value if value.__class__ is list else (value,)
    return not any(same(one, item) for one in values for item in items)


def finite(value: Any) -> Any:
    """A number that JSON can carry, else null."""
    return value if value.__class__ is int or math.isfinite(value) else None


def _apply(left: Any, right: Any, operation: Callable[[Any, Any], Any]) -> Any:
    if not (is_number(left) and is_number(right)):
        return None
    try:
        return finite(operation(left, right))
    except (ZeroDivisionError, OverflowError, ValueError):
        return None


def add(left: Any, right: Any) -> Any:
    """`+`; null if a side is no number or the result is not finite, as for all arithmetic."""
    return _apply(left, right, lambda a, b: a + b)


def subtract(left: Any, right: Any) -> Any:
    """`-`."""
    return _apply(left, right, lambda a, b: a - b)


def multiply(left: Any, right: Any) -> Any:
    """`*`."""
    return _apply(left, right, lambda a, b: a * b)


def divide(left: Any, right: Any) -> Any:
    """`/`: always the real quotient; null for a divisor of 0."""
    return _apply(left, right, lambda a, b: a / b)


def remainder(left: Any, right: Any) -> Any:
    """`%`: the remainder has the sign of the dividend; null for a divisor of 0."""
    return _apply(left, right, _remainder)


def _remainder(left: Any, right: Any) -> Any:
    if left.__class__ is float or right.__class__ is float:
        return math.fmod(left, right)
    return abs(left) % abs(right) * (-1 if left < 0 else 1)


def total(*terms: Any) -> Any:
    """A sum of more than two terms, from the left."""
    result = terms[0]
    for term in terms[1:]:
        result = add(result, term)
    return result


def negated(value: Any) -> Any:
    """The unary minus."""
    return -value if is_number(value) else None


def single(value: Any) -> Any:
    """The value if it is no array."""
    return None if value.__class__ is list else value


def whole(value: Any) -> Any:
    """A duration scaled by a number is whole microseconds again, rounded half to even."""
    return round(value) if is_number(value) else None


def intersects(left: Any, right: Any) -> bool:
    """Tell whether two arrays have a common member."""
    return left.__class__ is list and among(left, right)


def intersection(left: Any, right: Any) -> Any:
    """The distinct members of the first array that the second holds, in the first's order; null if a side is none."""
    if left.__class__ is not list or right.__class__ is not list:
        return None
    return distinct(item for item in left if any(same(item, other) for other in right))


def subset(left: Any, right: Any) -> bool:
    """Tell whether every known member of the first array is in the second; false if a side is no array."""
    if left.__class__ is not list or right.__class__ is not list:
        return False
    return all(item is None or any(same(item, other) for other in right) for item in left)


def distinct(values: Iterable[Any]) -> list[Any]:
    """The different non-null values in order of first occurrence."""
    seen: dict[Any, Any] = {}
    for value in values:
        if value is not None and value == value:
            seen.setdefault(identity(value), value)
    return list(seen.values())


def identity(value: Any) -> Any:
    """A hashable key that two values share exactly when they are the `same`."""
    kind = value.__class__
    if kind is bool:
        return ("boolean", value)
    if kind is list:
        return ("array", *(identity(item) for item in value))
    if kind is dict:
        return ("object", *sorted((key, identity(item)) for key, item in value.items()))
    return value


def keys(target: Any) -> Any:
    """The keys of a map in code point order; null if it is none."""
    return sorted(target) if target.__class__ is dict else None


def values(target: Any) -> Any:
    """The values of a map in the order of its keys; null if it is none."""
    return [target[key] for key in sorted(target)] if target.__class__ is dict else None


def map_get(target: Any, key: Any) -> Any:
    """A map's value under a computed key."""
    return target.get(key) if target.__class__ is dict and key.__class__ is str else None


def make_object(*parts: Any) -> dict[str, Any]:
    """An object from its keys followed by its values."""
    half = len(parts) // 2
    return dict(zip(parts[:half], parts[half:], strict=True))
