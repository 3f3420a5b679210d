"""The table of functions and methods: names, number of arguments, and which argument is judged per item.

A name is either a function `f(x)` or a method `x.f()`, never both, so that text and `pql/json` convert without loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.pql import mistakes
from shared.pql.errors import ParseError, Span, did_you_mean


@dataclass(frozen=True, slots=True)
class Signature:
    """How many arguments (a method's object not counted); `each` is the index of the one evaluated for every item.

    `shown` is an example of a call, as it stands in messages.
    """

    least: int
    most: int
    shown: str
    each: int | None = None


def _text(name: str) -> Signature:
    return Signature(1, 2, f'.{name}("text")` or, in any case, `.{name}("text", false)')


def _fold(name: str) -> Signature:
    return Signature(0, 1, f".{name}(path)", each=0)


def _part(name: str) -> Signature:
    return Signature(0, 1, f'{name}()` or `{name}("Europe/Berlin")')


def _set(name: str) -> Signature:
    return Signature(1, 1, f'.{name}(["a", "b"])')


METHODS: Mapping[str, Signature] = {
    **{name: _text(name) for name in ("startsWith", "doesNotStartWith", "endsWith", "doesNotEndWith")},
    **{name: _text(name) for name in ("contains", "doesNotContain", "equals", "notEqualTo")},
    "matches": Signature(1, 1, '.matches("^ab+")'),
    "regexGroup": Signature(2, 2, '.regexGroup("@(.+)", 1)'),
    **{name: _set(name) for name in ("intersects", "intersection", "subsetOf", "supersetOf")},
    "includes": Signature(1, 1, '.includes("a")'),
    **{name: _fold(name) for name in ("distinct", "sum", "average", "min", "max", "variance", "first", "last")},
    "groupBy": Signature(1, 1, ".groupBy(path)", each=0),
    "map": Signature(1, 1, ".map(path)", each=0),
    "filter": Signature(1, 1, ".filter(condition)", each=0),
    "exists": Signature(1, 1, ".exists(condition)", each=0),
    "forall": Signature(1, 1, ".forall(condition)", each=0),
    "topN": Signature(2, 2, ".topN(path, 3)", each=0),
    "bottomN": Signature(2, 2, ".bottomN(path, 3)", each=0),
    "head": Signature(0, 0, ".head()"),
    "count": Signature(0, 0, ".count()` or, with a condition, `[condition].count()"),
    "decayedSum": Signature(2, 2, ".decayedSum(path, 7 days)", each=0),
    "sessions": Signature(1, 1, ".sessions(30 minutes)"),
    "burst": Signature(1, 1, ".burst(20)"),
    "get": Signature(1, 1, '.get("key")'),
    "keys": Signature(0, 0, ".keys()"),
    "values": Signature(0, 0, ".values()"),
    "isNull": Signature(0, 0, ".isNull()"),
    "isNotNull": Signature(0, 0, ".isNotNull()"),
    **{name: _part(f".{name}") for name in ("getMonth", "getYear", "getDayOfMonth")},
}

FUNCTIONS: Mapping[str, Signature] = {
    "if": Signature(3, 3, 'if(condition, "then", "else")'),
    "date": Signature(3, 3, "date(2024, 5, 1)"),
    "instant": Signature(1, 1, 'instant("2024-05-01T12:00:00Z")'),
    **{name: _part(name) for name in ("currentMonth", "currentYear", "currentDayOfMonth")},
    "inSegment": Signature(1, 1, 'inSegment("id")'),
    "inList": Signature(1, 1, 'inList("vip")'),
    "mapEntry": Signature(2, 2, "mapEntry(key, value)"),
    "since": Signature(1, 1, 'since(loyalty.tier = "gold") occurs > 30 days before now'),
    "profileId": Signature(0, 0, "profileId()"),
    "bucket": Signature(0, 1, 'bucket("salt") < 10'),
    "distanceKm": Signature(4, 4, "distanceKm(lat, lon, lat2, lon2)"),
    "insideBox": Signature(6, 6, "insideBox(lat, lon, south, west, north, east)"),
}

OPERATORS = frozenset(
    {"and", "or", "not", "=", "!=", "<", "<=", ">", ">=", "in", "notIn", "like", "+", "-", "*", "/", "%"}
)


def unknown(name: str, span: Span, known: Mapping[str, Signature], what: str) -> ParseError:
    """Build the error for a name that is in the wrong table or in none."""
    other = FUNCTIONS if known is METHODS else METHODS
    if name in other:
        hint: str | None = f"it is a {'function' if other is FUNCTIONS else 'method'}: write `{other[name].shown}`"
    else:
        hint = mistakes.function(name) or did_you_mean(name, known)
    return ParseError(f"unknown {what} `{name}`", span, hint or f"known are {', '.join(sorted(known))}")


def usage(name: str) -> str:
    """The hint that shows how a function or method is called."""
    return f"write `{(METHODS.get(name) or FUNCTIONS[name]).shown}`"


def check_arity(name: str, count: int, span: Span, known: Mapping[str, Signature]) -> None:
    """Refuse a wrong number of arguments."""
    signature = known[name]
    if not signature.least <= count <= signature.most:
        expected = str(signature.least)
        if signature.most != signature.least:
            expected += f" or {signature.most}"
        noun = "argument" if signature.most == 1 else "arguments"
        found = count if count else "none"
        if signature.most == 0:
            expected = "no"
        raise ParseError(f"`{name}` takes {expected} {noun}, found {found}", span, usage(name))
