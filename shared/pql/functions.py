"""The table of functions and methods: names, number of arguments, and which argument is judged per item.

A name is either a function `f(x)` or a method `x.f()`, never both, so that text and `pql/json` convert without loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.pql.errors import ParseError, Span, did_you_mean


@dataclass(frozen=True, slots=True)
class Signature:
    """How many arguments (a method's object not counted); `each` is the index of the one evaluated for every item."""

    least: int
    most: int
    each: int | None = None


_TEXT = Signature(1, 2)
_SET = Signature(1, 1)
_FOLD = Signature(0, 1, each=0)
_ZONED = Signature(0, 1)

METHODS: Mapping[str, Signature] = {
    "startsWith": _TEXT,
    "doesNotStartWith": _TEXT,
    "endsWith": _TEXT,
    "doesNotEndWith": _TEXT,
    "contains": _TEXT,
    "doesNotContain": _TEXT,
    "equals": _TEXT,
    "notEqualTo": _TEXT,
    "matches": Signature(1, 1),
    "regexGroup": Signature(2, 2),
    "intersects": _SET,
    "intersection": _SET,
    "subsetOf": _SET,
    "supersetOf": _SET,
    "includes": _SET,
    "distinct": _FOLD,
    "groupBy": Signature(1, 1, each=0),
    "map": Signature(1, 1, each=0),
    "filter": Signature(1, 1, each=0),
    "exists": Signature(1, 1, each=0),
    "forall": Signature(1, 1, each=0),
    "topN": Signature(2, 2, each=0),
    "bottomN": Signature(2, 2, each=0),
    "head": Signature(0, 0),
    "first": _FOLD,
    "last": _FOLD,
    "count": Signature(0, 0),
    "sum": _FOLD,
    "average": _FOLD,
    "min": _FOLD,
    "max": _FOLD,
    "variance": _FOLD,
    "decayedSum": Signature(2, 2, each=0),
    "sessions": Signature(1, 1),
    "burst": Signature(1, 1),
    "get": Signature(1, 1),
    "keys": Signature(0, 0),
    "values": Signature(0, 0),
    "isNull": Signature(0, 0),
    "isNotNull": Signature(0, 0),
    "getMonth": _ZONED,
    "getYear": _ZONED,
    "getDayOfMonth": _ZONED,
}

FUNCTIONS: Mapping[str, Signature] = {
    "if": Signature(3, 3),
    "date": Signature(3, 3),
    "instant": Signature(1, 1),
    "currentMonth": _ZONED,
    "currentYear": _ZONED,
    "currentDayOfMonth": _ZONED,
    "inSegment": Signature(1, 1),
    "inList": Signature(1, 1),
    "mapEntry": Signature(2, 2),
    "since": Signature(1, 1),
    "profileId": Signature(0, 0),
    "bucket": Signature(0, 1),
    "distanceKm": Signature(4, 4),
    "insideBox": Signature(6, 6),
}

OPERATORS = frozenset(
    {"and", "or", "not", "=", "!=", "<", "<=", ">", ">=", "in", "notIn", "like", "+", "-", "*", "/", "%"}
)


def unknown(name: str, span: Span, known: Mapping[str, Signature], what: str) -> ParseError:
    """Build the error for a name that is in the wrong table or in none."""
    other, form = (FUNCTIONS, f"{name}(...)") if known is METHODS else (METHODS, f"object.{name}(...)")
    hint = f"it is written `{form}`" if name in other else did_you_mean(name, known)
    return ParseError(f"unknown {what} `{name}`", span, hint)


def check_arity(name: str, count: int, span: Span, known: Mapping[str, Signature]) -> None:
    """Refuse a wrong number of arguments."""
    signature = known[name]
    if not signature.least <= count <= signature.most:
        expected = str(signature.least)
        if signature.most != signature.least:
            expected += f" to {signature.most}"
        raise ParseError(f"`{name}` takes {expected} argument(s), found {count}", span)
