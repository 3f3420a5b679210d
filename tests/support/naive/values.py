"""The naive evaluator's values: plain JSON, with instants and durations marked so that arithmetic knows them."""

from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(int):
    """Microseconds since 1970, UTC."""


class Duration(int):
    """Microseconds."""


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def instant(value: Any) -> Instant | None:
    """Read a value as an instant."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return Instant(value)
    if isinstance(value, str) and len(value) >= 10 and value[4] == "-":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return Instant((moment - EPOCH) // timedelta(microseconds=1))
    return None


def declared(value: Any, is_map: bool) -> Any:
    """A value of a field that holds instants, or arrays of them, or (`is_map`) a map of either."""
    if is_map:
        return {key: declared(item, False) for key, item in value.items()} if isinstance(value, dict) else value
    return [declared(item, False) for item in value] if isinstance(value, list) else instant(value)


def moment(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def flat(values: list[Any]) -> list[Any]:
    """Non-null values, inner arrays opened."""
    result = []
    for value in values:
        result += [item for item in value if item is not None] if isinstance(value, list) else [value]
    return [value for value in result if value is not None]


def field(target: Any, name: str) -> Any:
    """A field; of an array the fields of its items, null if there is none."""
    if isinstance(target, dict):
        return target.get(name)
    if isinstance(target, list):
        return flat([field(item, name) for item in target]) or None
    return None


def same(left: Any, right: Any) -> bool:
    """Equality of two known values that are not both arrays."""
    if left is None or right is None:
        return False
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool) and left == right
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(alike(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return set(left) == set(right) and all(alike(left[key], right[key]) for key in left)
    return isinstance(left, str) and isinstance(right, str) and left == right


def alike(left: Any, right: Any) -> bool:
    return (left is None and right is None) or same(left, right)


def compare(operator: str, left: Any, right: Any) -> bool:
    """A comparison; over an array it holds if it holds for one item."""
    if isinstance(left, list) and not (isinstance(right, list) and operator in ("=", "!=")):
        return any(compare(operator, item, right) for item in left)
    if isinstance(right, list) and not isinstance(left, list):
        return any(compare(operator, left, item) for item in right)
    if isinstance(left, Instant) or isinstance(right, Instant):
        left, right = instant(left), instant(right)
    if left is None or right is None:
        return False
    if operator == "=":
        return same(left, right)
    if operator == "!=":
        return not same(left, right)
    comparable = (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str))
    if not comparable:
        return False
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    """`+ - * / %` with null for everything undefined."""
    if operator == "-" and Instant in (type(left), type(right)) and Duration not in (type(left), type(right)):
        left, right = instant(left), instant(right)
    if not (is_number(left) and is_number(right)):
        return None
    try:
        if operator == "%":
            sign = -1 if left < 0 else 1
            result: Any = sign * (abs(left) % abs(right))
        else:
            result = {"+": left + right, "-": left - right, "*": left * right, "/": 0}[operator]
            if operator == "/":
                result = int(left) / int(right) if isinstance(left, int) and isinstance(right, int) else left / right
    except (ZeroDivisionError, OverflowError):
        return None
    if isinstance(result, float) and (result != result or result in (float("inf"), float("-inf"))):
        return None
    return _marked(operator, left, right, result)


def _marked(operator: str, left: Any, right: Any, result: Any) -> Any:
    kinds = (
        type(left) if type(left) in (Instant, Duration) else None,
        type(right) if type(right) in (Instant, Duration) else None,
    )
    if kinds == (Instant, Instant):
        return Duration(result)
    if Instant in kinds:
        return Instant(result)
    if kinds == (Duration, Duration):
        return result if operator == "/" else Duration(result)
    if Duration in kinds:
        return Duration(round(result))
    return result


def truth(value: Any) -> bool:
    """A value as a condition."""
    if isinstance(value, list):
        return any(item is True or isinstance(item, dict) for item in value)
    return value is True


def distinct(values: list[Any]) -> list[Any]:
    result: list[Any] = []
    for value in values:
        if value is not None and not any(same(value, other) for other in result):
            result.append(value)
    return result
