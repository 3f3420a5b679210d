"""Operations over the items of an array. `None` as array behaves as an empty one, except where the result says
otherwise."""

import math
from collections.abc import Callable
from fractions import Fraction
from operator import itemgetter
from typing import Any

from shared.pql.operators import distinct, finite, flatten, is_number

Body = Callable[[Any], Any] | None
_TIMESTAMP = itemgetter("timestamp")


def items(source: Any) -> list[Any]:
    """The items of an array; a single value that is no array has none."""
    return source if source.__class__ is list else []


def scalars(source: Any, body: Body) -> list[Any]:
    """The non-null values of the body for each item, arrays flattened."""
    return flatten(items(source) if body is None else map(body, items(source)))


def each_filter(source: Any, body: Callable[[Any], Any]) -> list[Any]:
    """The items for which the body holds."""
    return [item for item in items(source) if body(item)]


def each_any(source: Any, body: Callable[[Any], Any]) -> bool:
    """Tell whether the body holds for an item; stops at the first."""
    return any(body(item) for item in items(source))


def each_map(source: Any, body: Callable[[Any], Any]) -> list[Any]:
    """The body's value for every item, nulls included."""
    return [body(item) for item in items(source)]


def each_map_to_map(source: Any, body: Callable[[Any], tuple[Any, Any]]) -> dict[str, Any]:
    """A map from the entries the body gives; of equal keys the last counts."""
    return {key: value for key, value in map(body, items(source)) if key.__class__ is str}


def entries(source: Any, body: Callable[[Any, Any], Any], to_map: bool) -> Any:
    """The body over key and value of a map, in key order."""
    if source.__class__ is not dict:
        return {} if to_map else []
    results = [body(key, source[key]) for key in sorted(source)]
    return {key: value for key, value in results if key.__class__ is str} if to_map else results


def group_by(source: Any, body: Callable[[Any], Any]) -> dict[str, list[Any]]:
    """Items by the text of the body's value; items for which it is null are left out."""
    groups: dict[str, list[Any]] = {}
    for item in items(source):
        value = body(item)
        key = value if value.__class__ is str else key_text(value)
        if key in groups:
            groups[key].append(item)
        elif key is not None:
            groups[key] = [item]
    return groups


def key_text(value: Any) -> str | None:
    """The text under which a value becomes a key of a map: as JSON writes it; null for anything compound."""
    if value.__class__ is str:
        return str(value)
    if value.__class__ is bool:
        return "true" if value else "false"
    if not is_number(value):
        return None
    return str(int(value)) if value == int(value) else repr(value)


def count(source: Any) -> int:
    """The number of items, nulls included; 0 for null."""
    return len(items(source))


def numbers(source: Any, body: Body) -> list[Any]:
    """The values that are numbers."""
    return [value for value in scalars(source, body) if is_number(value)]


def exact_sum(values: list[Any]) -> Any:
    """The correctly rounded sum, whatever the order; an integer if all are."""
    if all(value.__class__ is int for value in values):
        return sum(values)
    try:
        return finite(math.fsum(values))
    except OverflowError:
        return None


def sum_of(source: Any, body: Body) -> Any:
    """The sum; 0 of nothing."""
    return exact_sum(numbers(source, body))


def average(source: Any, body: Body) -> Any:
    """The correctly rounded sum divided by the count; null of nothing."""
    values = numbers(source, body)
    return mean(exact_sum(values), len(values))


def mean(sum_: Any, count_: int) -> Any:
    """Sum by count; null if there is nothing to divide."""
    if not count_ or sum_ is None:
        return None
    try:
        return sum_ / count_
    except OverflowError:
        return None


def variance(source: Any, body: Body) -> Any:
    """The population variance, computed exactly and rounded once; null of nothing."""
    values = [Fraction(value) for value in numbers(source, body)]
    return exact_variance(sum(values, Fraction()), sum((value * value for value in values), Fraction()), len(values))


def exact_variance(sum_: Fraction, squares: Fraction, count_: int) -> Any:
    """Mean of squares minus square of the mean."""
    if not count_:
        return None
    try:
        return float(squares / count_ - (sum_ / count_) ** 2)
    except OverflowError:
        return None


def extreme(source: Any, body: Body, largest: bool) -> Any:
    """The smallest or largest value; numbers come before text if both occur, null of nothing."""
    values = [value for value in scalars(source, body) if is_number(value) or value.__class__ is str]
    if not values:
        return None
    return (max if largest else min)(values, key=order_key)


def order_key(value: Any) -> tuple[bool, Any]:
    """A key that orders numbers before text."""
    return (value.__class__ is str, value)


def first(source: Any, body: Body) -> Any:
    """The first non-null item, or the first non-null value of the body."""
    values = items(source) if body is None else map(body, items(source))
    return next((value for value in values if value is not None), None)


def last(source: Any, body: Body) -> Any:
    """The last non-null item, or the last non-null value of the body."""
    values = reversed(items(source)) if body is None else map(body, reversed(items(source)))
    return next((value for value in values if value is not None), None)


def head(source: Any) -> Any:
    """The first item, null or not."""
    return items(source)[0] if items(source) else None


def distinct_of(source: Any, body: Body) -> list[Any]:
    """The different values."""
    return distinct(scalars(source, body))


def ranked(source: Any, body: Callable[[Any], Any], wanted: int, largest: bool) -> list[Any]:
    """The `wanted` items with the largest or smallest keys, best first; ties keep their order, null keys drop out."""
    keyed = [(body(item), item) for item in items(source)]
    ordered = [(order_key(key), item) for key, item in keyed if is_number(key) or key.__class__ is str]
    ordered.sort(key=lambda pair: pair[0], reverse=largest)
    return [item for _, item in ordered[:wanted]]


def burst(source: Any, wanted: int) -> int | None:
    """The shortest span of time that holds `wanted` of the events (µs); null if there are fewer."""
    times = sorted(_times(source))
    spans = [late - early for early, late in zip(times, times[wanted - 1 :], strict=False)]
    return min(spans, default=None)


def _times(source: Any) -> list[int]:
    return [
        item["timestamp"] for item in items(source) if item.__class__ is dict and type(item.get("timestamp")) is int
    ]


def sessions(source: Any, gap: int) -> list[dict[str, Any]]:
    """Events in time order, a new session wherever more than `gap` microseconds pass between two."""
    events = [item for item in items(source) if item.__class__ is dict and type(item.get("timestamp")) is int]
    events.sort(key=_TIMESTAMP)
    groups: list[list[Any]] = []
    last = 0
    for event in events:
        time = event["timestamp"]
        if not groups or time - last > gap:
            groups.append([])
        groups[-1].append(event)
        last = time
    return [_session(group, group[0]["timestamp"], group[-1]["timestamp"]) for group in groups]


def _session(group: list[Any], start: int, end: int) -> dict[str, Any]:
    return {"start": start, "end": end, "duration": end - start, "count": len(group), "events": group}
