"""Typing rules of operations over the items of an array."""

from shared.pql.check_values import ORDERED
from shared.pql.core import Apply, Const, Core, Each
from shared.pql.errors import CheckError, Span
from shared.pql.functions import usage
from shared.pql.types import INTEGER, NUMBER, Type, array_of, item_of, map_of


def fold(name: str, source: Core, level: int, body: Core | None, extra: tuple[Core, ...], span: Span) -> Core:
    """An operation over the items of an array, its result typed."""
    value = body.type if body is not None else item_of(source.type)
    if name in ("sum", "average", "variance", "decayedSum") and not _foldable(name, value):
        raise CheckError(f"`{name}` needs numbers, found {value}", body.span if body else span, _value_hint(name, body))
    if (
        name in ("min", "max", "topN", "bottomN")
        and (item_of(value) if value.kind == "array" else value).kind not in ORDERED
    ):
        message = f"`{name}` needs values with an order, found {value}"
        raise CheckError(message, body.span if body else span, _value_hint(name, body))
    if name in ("topN", "bottomN"):
        positive(extra[0], name)
    if name == "decayedSum":
        positive_duration(extra[0], name)
    return Each(
        name, source, 0 if body is None else level, body, extra, type=_fold_type(name, source, value, body), span=span
    )


def _value_hint(name: str, body: Core | None) -> str:
    if isinstance(body, Const) and isinstance(body.value, str):
        return f"a path is written without quotes: {usage(name)}"
    return f"name the field to use: {usage(name)}"


def need_array(value: Core, what: str, span: Span) -> Core:
    """The value, if it may be an array; `what` needs it."""
    if value.type.accepts("array"):
        return value
    hint = "use an array of the schema, or the profile's events, `xEvent`"
    if value.type.kind in ("map", "object"):
        hint = "use its `.keys()` or `.values()`, or one of its fields that is an array"
    raise CheckError(f"{what} needs an array, found {value.type}", span, hint)


def _foldable(name: str, value: Type) -> bool:
    scalar = item_of(value) if value.kind == "array" else value
    return scalar.is_numeric or (scalar.kind == "duration" and name in ("sum", "average"))


def _fold_type(name: str, source: Core, value: Type, body: Core | None) -> Type:
    scalar = item_of(value) if value.kind == "array" else value
    match name:
        case "count":
            return INTEGER
        case "average" | "variance" | "decayedSum":
            return scalar if scalar.kind == "duration" else NUMBER
        case "sum" | "min" | "max":
            return scalar
        case "first" | "last" | "head":
            return value
        case "distinct":
            return array_of(scalar)
        case "map":
            return mapped(body) if body is not None else source.type
        case "groupBy":
            return map_of(source.type)
        case _:
            return source.type


def mapped(body: Core) -> Type:
    is_entry = isinstance(body, Apply) and body.operation == "mapEntry"
    return map_of(body.type) if is_entry else array_of(body.type)


def positive(value: Core, name: str) -> int:
    if not (isinstance(value, Const) and type(value.value) is int and value.value > 0):
        raise CheckError(f"`{name}` needs a whole number above 0, written out", value.span, usage(name))
    return value.value


def positive_duration(value: Core, name: str) -> int:
    """The microseconds of an argument that must be a duration above 0, written out."""
    if isinstance(value, Const) and value.type.kind == "duration" and value.value > 0:
        return int(value.value)
    raise CheckError(f"`{name}` needs a duration such as `30 minutes`, found {value.type}", value.span, usage(name))
