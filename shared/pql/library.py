"""The names generated code may call, and nothing else: there are no builtins in its namespace."""

import math
from collections.abc import Callable
from typing import Any

from shared.pql import arrays, operators
from shared.pql.calendar import civil
from shared.pql.instants import to_instant, to_instants
from shared.pql.leaves.decay import decayed_sum
from shared.pql.leaves.matching import matches_sequence
from shared.pql.text_operators import TEXT_TESTS, group, search

EARTH_RADIUS_KM = 6_371.0088


def _part(index: int) -> Callable[[Any, str | None], int | None]:
    def part(value: Any, zone: str | None) -> int | None:
        return civil(value, zone)[index] if value.__class__ is int else None

    return part


def distance_km(latitude: Any, longitude: Any, to_latitude: Any, to_longitude: Any) -> float | None:
    """Great-circle distance (haversine) on a sphere of the mean Earth radius; null if a coordinate is no number."""
    points = (latitude, longitude, to_latitude, to_longitude)
    if not all(operators.is_number(value) and abs(value) <= 360 for value in points):
        return None
    phi, lam, to_phi, to_lam = map(math.radians, points)
    half = math.sin((to_phi - phi) / 2) ** 2 + math.cos(phi) * math.cos(to_phi) * math.sin((to_lam - lam) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))


def inside_box(latitude: Any, longitude: Any, south: Any, west: Any, north: Any, east: Any) -> bool:
    """Tell whether a point lies in a box, edges included; a box with west > east crosses the antimeridian."""
    if not all(map(operators.is_number, (latitude, longitude, south, west, north, east))):
        return False
    across = west <= longitude <= east if west <= east else longitude >= west or longitude <= east
    return bool(south <= latitude <= north and across)


CALLS: dict[str, Callable[..., Any]] = {
    "truth": operators.truth,
    "nonempty": operators.nonempty,
    "=": operators.equal,
    "!=": operators.unequal,
    "<": operators.less,
    "<=": operators.at_most,
    ">": operators.greater,
    ">=": operators.at_least,
    "in": operators.among,
    "notIn": operators.not_among,
    "+": operators.total,
    "-": operators.subtract,
    "*": operators.multiply,
    "/": operators.divide,
    "%": operators.remainder,
    "negate": operators.negated,
    "whole": operators.whole,
    "single": operators.single,
    "intersects": operators.intersects,
    "intersection": operators.intersection,
    "subsetOf": operators.subset,
    "supersetOf": lambda left, right: operators.subset(right, left),
    "get": operators.map_get,
    "keys": operators.keys,
    "values": operators.values,
    "object": operators.make_object,
    "instant": to_instant,
    "instants": to_instants,
    "month": _part(1),
    "year": _part(0),
    "dayOfMonth": _part(2),
    "distanceKm": distance_km,
    "insideBox": inside_box,
    **TEXT_TESTS,
}
"""Scalar operations by their name in the typed tree."""

FOLDS: dict[str, Callable[..., Any]] = {
    "filter": arrays.each_filter,
    "any": arrays.each_any,
    "map": arrays.each_map,
    "flatMap": lambda source, body: arrays.scalars(source, body) or None,
    "groupBy": arrays.group_by,
    "count": lambda source, body: arrays.count(source) if body is None else len(arrays.scalars(source, body)),
    "sum": arrays.sum_of,
    "average": arrays.average,
    "variance": arrays.variance,
    "min": lambda source, body: arrays.extreme(source, body, False),
    "max": lambda source, body: arrays.extreme(source, body, True),
    "first": arrays.first,
    "last": arrays.last,
    "head": lambda source, body: arrays.head(source),
    "distinct": arrays.distinct_of,
    "topN": lambda source, body, wanted: arrays.ranked(source, body, wanted, True),
    "bottomN": lambda source, body, wanted: arrays.ranked(source, body, wanted, False),
    "burst": lambda source, body, wanted: arrays.burst(source, wanted),
    "sessions": lambda source, body, gap: arrays.sessions(source, gap),
}
"""Operations over items: called with the source, the body (a function or None) and the extra arguments."""

NAMESPACE: dict[str, Any] = {
    "__builtins__": {},
    "LIST": list,
    "get": operators.get,
    "any_equal": operators.equal,
    "search": search,
    "group": group,
    "entries": arrays.entries,
    "map_to_map": arrays.each_map_to_map,
    "matches_sequence": matches_sequence,
    "decayed_sum": decayed_sum,
    **{f"call_{index}": call for index, call in enumerate(CALLS.values())},
    **{f"fold_{name}": fold for name, fold in FOLDS.items()},
}
CALL_NAMES: dict[str, str] = {name: f"call_{index}" for index, name in enumerate(CALLS)}
