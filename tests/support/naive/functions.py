"""The table of functions, the naive way: on whole lists of values."""

import math
from datetime import date
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import re2

from shared.pql.syntax import Call, Node
from tests.support.naive.values import Duration, Instant, distinct, field, flat, instant, is_number, moment, same

PER_ITEM = frozenset(
    {
        *("map", "groupBy", "distinct", "topN", "bottomN", "sum", "average", "min", "max", "variance", "first", "last"),
        *("exists", "forall", "decayedSum"),
    }
)
_DAY = 86_400_000_000


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def fold(name: str, values: list[Any]) -> Any:
    """An aggregate of values, nulls and what does not fit left out."""
    known = flat(values)
    if name in ("first", "last"):
        kept = [value for value in values if value is not None]
        return kept[0 if name == "first" else -1] if kept else None
    if name == "distinct":
        return distinct(known)
    if name in ("min", "max"):
        ordered = [value for value in known if is_number(value) or isinstance(value, str)]
        key = lambda value: (isinstance(value, str), value)  # noqa: E731
        return (min if name == "min" else max)(ordered, key=key) if ordered else None
    numbers = [value for value in known if is_number(value)]
    total = sum(map(Fraction, numbers), Fraction())
    if name == "sum":
        return _like(numbers, int(total) if all(isinstance(n, int) for n in numbers) else float(total))
    if not numbers:
        return None
    if name == "average":
        summed = int(total) if all(isinstance(n, int) for n in numbers) else float(total)
        return summed / len(numbers)
    return float(sum((Fraction(n) ** 2 for n in numbers), Fraction()) / len(numbers) - (total / len(numbers)) ** 2)


def _like(numbers: list[Any], result: Any) -> Any:
    return Duration(result) if numbers and all(isinstance(n, Duration) for n in numbers) else result


def keyed(name: str, source: list[Any], values: list[Any], extra: list[Any]) -> Any:
    """Operations that look at an item and its value."""
    if name == "groupBy":
        groups: dict[str, list[Any]] = {}
        for item, value in zip(source, values, strict=True):
            key = key_text(value)
            if key is not None:
                groups.setdefault(key, []).append(item)
        return groups
    if name in ("topN", "bottomN"):
        pairs = [(v, i) for v, i in zip(values, source, strict=True) if is_number(v) or isinstance(v, str)]
        pairs.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]), reverse=name == "topN")
        return [item for _, item in pairs[: extra[0]]]
    return fold(name, values)


def key_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if not is_number(value):
        return None
    return str(int(value)) if value == int(value) else repr(value)


def collected(body: Node, results: list[Any]) -> Any:
    """`map` gives an array, or a map if its body makes entries."""
    if isinstance(body, Call) and body.function == "mapEntry":
        return {key: value for key, value in results if isinstance(key, str)}
    return results


def decayed(source: list[Any], values: list[Any], half_life: int, now: int) -> Any:
    """Ages in whole steps of 1/32 half-life on the epoch's grid; what is older than 64 half-lives is nothing."""
    step = max(1, half_life // 32)
    terms: list[float] = []
    for item, value in zip(source, values, strict=True):
        at = item.get("timestamp") if isinstance(item, dict) else None
        age = now // step - at // step if isinstance(at, int) and at <= now else -1
        if 0 <= age <= 64 * 32:
            terms += [number * 2.0 ** (-age / 32) for number in flat([value]) if is_number(number)]
    return float(sum(map(Fraction, terms), Fraction())) if terms else 0


def call(name: str, values: list[Any], now: int) -> Any:
    """Functions of plain values."""
    match name:
        case "in" | "includes":
            value, among = values if name == "in" else values[::-1]
            return isinstance(among, list) and _among(value, among)
        case "notIn":
            value, among = values
            known = value is not None and value != []
            return known and isinstance(among, list) and not _among(value, among)
        case "like" | "matches" | "regexGroup":
            return _regex(name, values)
        case "count":
            return len(items(values[0]))
        case "head":
            return items(values[0])[0] if items(values[0]) else None
        case "isNull":
            return values[0] is None
        case "isNotNull":
            return values[0] is not None
        case "get":
            return field(values[0], values[1]) if isinstance(values[1], str) else None
        case "keys":
            return sorted(values[0]) if isinstance(values[0], dict) else None
        case "values":
            return [values[0][key] for key in sorted(values[0])] if isinstance(values[0], dict) else None
        case "mapEntry":
            return (values[0], values[1])
        case "sum" | "average" | "min" | "max" | "variance" | "distinct" | "first" | "last":
            return fold(name, items(values[0]))
        case "intersects" | "intersection" | "subsetOf" | "supersetOf":
            return _sets(name, values[0], values[1])
        case "burst":
            times = sorted(item["timestamp"] for item in items(values[0]))
            spans = [times[i + values[1] - 1] - times[i] for i in range(len(times) - values[1] + 1)]
            return Duration(min(spans)) if spans else None
        case "sessions":
            return _sessions(items(values[0]), values[1])
    if name in ("distanceKm", "insideBox"):
        return _geo(name, values)
    if name.startswith(("get", "current")) or name in ("date", "instant"):
        return _date(name, values, now)
    return _text(name, values)


def _among(value: Any, among: list[Any]) -> bool:
    if isinstance(value, Instant) or any(isinstance(item, Instant) for item in among):
        return any(instant(value) == instant(item) for item in among if instant(item) is not None)
    return any(same(one, item) for one in (value if isinstance(value, list) else [value]) for item in among)


def _sets(name: str, left: Any, right: Any) -> Any:
    if not isinstance(left, list) or not isinstance(right, list):
        return None if name == "intersection" else False
    if any(isinstance(item, Instant) for item in [*left, *right]):
        left, right = [instant(item) for item in left], [instant(item) for item in right]
    common = distinct([item for item in left if any(same(item, other) for other in right)])
    if name == "intersection":
        return common
    if name == "intersects":
        return bool(common)
    small, large = (left, right) if name == "subsetOf" else (right, left)
    return all(item is None or any(same(item, other) for other in large) for item in small)


def _sessions(events: list[Any], gap: int) -> list[dict[str, Any]]:
    groups: list[list[Any]] = []
    for event in events:
        if not groups or event["timestamp"] - groups[-1][-1]["timestamp"] > gap:
            groups.append([])
        groups[-1].append(event)
    return [
        {
            "start": Instant(group[0]["timestamp"]),
            "end": Instant(group[-1]["timestamp"]),
            "duration": Duration(group[-1]["timestamp"] - group[0]["timestamp"]),
            "count": len(group),
            "events": group,
        }
        for group in groups
    ]


def _date(name: str, values: list[Any], now: int) -> Any:
    if name == "date":
        return Instant((date(*values) - date(1970, 1, 1)).days * _DAY)
    if name == "instant":
        return instant(values[0])
    at = Instant(now) if name.startswith("current") else instant(values[0])
    zoned = len(values) > name.startswith("get")
    zone = values[-1] if zoned else None
    if at is None:
        return None
    local = moment(at).astimezone(ZoneInfo(zone)) if zone else moment(at)
    part = name.removeprefix("get").removeprefix("current")
    return {"Month": local.month, "Year": local.year, "DayOfMonth": local.day}[part]


def _text(name: str, values: list[Any]) -> bool:
    text, argument, *flag = values
    if isinstance(text, list):
        return any(_text(name, [item, argument, *flag]) for item in text)
    if not isinstance(text, str) or not isinstance(argument, str):
        return False
    if flag == [False]:
        text, argument = text.casefold(), argument.casefold()
    positive = {
        "startsWith": text.startswith(argument),
        "endsWith": text.endswith(argument),
        "contains": argument in text,
        "equals": text == argument,
    }
    opposite = {
        "doesNotStartWith": "startsWith",
        "doesNotEndWith": "endsWith",
        "doesNotContain": "contains",
        "notEqualTo": "equals",
    }
    return not positive[opposite[name]] if name in opposite else positive[name]


def _regex(name: str, values: list[Any]) -> Any:
    text, pattern = values[0], values[1]
    if isinstance(text, list):
        found = [_regex(name, [item, *values[1:]]) for item in text]
        return next((one for one in found if one), None if name == "regexGroup" else False)
    if not isinstance(text, str):
        return None if name == "regexGroup" else False
    if name == "like":
        return _like_match(pattern, text)
    match = re2.search(pattern, text)
    if name == "matches":
        return match is not None
    return match.group(values[2]) if match else None


def _like_match(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(_like_match(pattern[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and (pattern[0] in ("_", text[0])) and _like_match(pattern[1:], text[1:])


def _geo(name: str, values: list[Any]) -> Any:
    if not all(map(is_number, values)):
        return None if name == "distanceKm" else False
    if name == "insideBox":
        lat, lon, south, west, north, east = values
        return south <= lat <= north and (west <= lon <= east if west <= east else lon >= west or lon <= east)
    phi, lam, phi2, lam2 = (math.radians(value) for value in values)
    half = math.sin((phi2 - phi) / 2) ** 2 + math.cos(phi) * math.cos(phi2) * math.sin((lam2 - lam) / 2) ** 2
    return 2 * 6371.0088 * math.asin(min(1.0, math.sqrt(half)))
