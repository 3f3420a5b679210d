"""Typing rules of values: conditions, comparisons and arithmetic."""

from shared.pql.core import TRUE, Apply, Const, Core, Each, Inside, Segment, Sequence
from shared.pql.errors import CheckError, Span
from shared.pql.functions import usage
from shared.pql.instants import parse_instant
from shared.pql.types import (
    BOOLEAN,
    DURATION,
    INSTANT,
    INTEGER,
    NUMBER,
    Type,
    comparable,
    item_of,
)

ORDERED = frozenset({"any", "null", "integer", "number", "string", "instant", "duration"})


def literal(argument: Core, name: str) -> str:
    """The text of an argument that must be written out."""
    if isinstance(argument, Const) and isinstance(argument.value, str):
        return argument.value
    hint = 'write `x like "Se%"`' if name == "like" else usage(name)
    raise CheckError(f"`{name}` needs a text written out in double quotes here", argument.span, hint)


def truth(value: Core) -> Core:
    """Use a value as a condition: a boolean as it is, an array if it is not empty."""
    match value.type.kind:
        case "boolean":
            # A field declared boolean may hold anything, or nothing; an operation always answers true or false.
            answers = isinstance(value, Inside | Segment | Sequence | Const)
            answers |= isinstance(value, Apply) and value.operation != "if"
            return value if answers else Apply("truth", (value,), type=BOOLEAN, span=value.span)
        case "any" | "null":
            return Apply("truth", (value,), type=BOOLEAN, span=value.span)
        case "array":
            # A filter asks whether anything is left; values reached through an array ask whether one is true.
            filtered = isinstance(value, Each) and value.operation == "filter"
            certain = filtered or item_of(value.type).kind not in ("boolean", "any")
            return Apply("nonempty" if certain else "truth", (value,), type=BOOLEAN, span=value.span)
    raise CheckError(f"expected a condition, found a value of type {value.type}", value.span, _condition_hint(value))


def _condition_hint(value: Core) -> str:
    match value.type.kind:
        case "integer" | "number":
            return "compare it, for example with `> 0`"
        case "instant":
            return "ask when it was, for example with `occurs <= 7 days before now`"
        case "duration":
            return "compare it, for example with `> 3 days`"
        case "object" | "map":
            return "compare one of its fields, or ask `.isNotNull()`"
    return 'compare it, for example with `= ".."` or `.isNotNull()`'


def conjunction(conditions: list[Core], span: Span) -> Core:
    """The `and` of any number of conditions; of none it is true."""
    if not conditions:
        return TRUE
    return conditions[0] if len(conditions) == 1 else Apply("and", tuple(conditions), type=BOOLEAN, span=span)


def negate(condition: Core) -> Core:
    """The opposite of a condition."""
    return Apply("not", (condition,), type=BOOLEAN, span=condition.span)


def parse_literal(text: str, span: Span) -> int:
    """The instant of a text literal."""
    instant = parse_instant(text)
    if instant is None:
        hint = 'write it as "2024-05-01" or "2024-05-01T12:00:00Z"; days have words too: `today`, `yesterday`'
        raise CheckError(f'"{text}" is not an instant', span, hint)
    return instant


def as_instant(value: Core) -> Core:
    """Read a value as an instant: text in ISO 8601, integers as microseconds."""
    if value.type.kind == "instant":
        return value
    if isinstance(value, Const) and isinstance(value.value, str):
        return Const(parse_literal(value.value, value.span), type=INSTANT, span=value.span)
    return Apply("instant", (value,), type=INSTANT, span=value.span)


def as_declared(value: Core) -> Core:
    """A value as it lies in JSON, read as its declared type: JSON carries instants as text."""
    if value.type.kind == "instant":
        return Apply("instant", (value,), type=value.type, span=value.span)
    return as_instants(value) if _innermost(value.type).kind == "instant" else value


def as_instants(value: Core) -> Core:
    """Read an array's items as instants."""
    return Apply("instants", (value,), type=value.type, span=value.span)


def _innermost(type_: Type) -> Type:
    while type_.kind == "array":
        type_ = item_of(type_)
    return type_


def compare(operator: str, left: Core, right: Core, span: Span) -> Core:
    """A comparison; the side facing an instant is read as an instant."""
    if not comparable(left.type, right.type):
        raise CheckError(f"cannot compare {left.type} with {right.type}", span, _comparison_hint(left, right))
    scalars = [_innermost(side.type) for side in (left, right)]
    if operator not in ("=", "!="):
        for scalar in scalars:
            if scalar.kind not in ORDERED:
                hint = "compare them with `=` or `!=`" if scalar.kind == "boolean" else _comparison_hint(left, right)
                raise CheckError(f"values of type {scalar} have no order, `{operator}` needs one", span, hint)
    if any(scalar.kind == "instant" for scalar in scalars):
        left, right = as_instant(left), as_instant(right)
    return Apply(operator, (left, right), type=BOOLEAN, span=span)


def _comparison_hint(left: Core, right: Core) -> str:
    return type_hint(left, right.type, right) if left.type.kind != "object" else type_hint(right, left.type, left)


def type_hint(value: Core, facing: Type, other: Core | None = None) -> str:
    """What to do where values of two types can never be equal."""
    kinds = {item_of(side).kind if side.kind == "array" else side.kind for side in (value.type, facing)}
    if "object" in kinds or "map" in kinds:
        fields = next((side.fields for side in (facing, value.type) if side.kind == "object"), {})
        shown = f", such as `{next(iter(sorted(fields)))}`" if fields else ""
        return f"compare one of its fields{shown}"
    if "boolean" in kinds:
        return "booleans are `true` and `false`, without quotes"
    if "duration" in kinds:
        return "write a duration as `7 days`"
    if "instant" in kinds:
        return 'write an instant as "2024-05-01T12:00:00Z", or ask with `occurs`'
    for side in (value, other):
        if isinstance(side, Const):
            if isinstance(side.value, str):
                shown = f": {side.value}" if side.value.isdecimal() else ", as in 5"
                return f"write a number without quotes{shown}"
            return f'write text in double quotes: "{side.value}"'
    return "numbers are written without quotes, text with"


def arithmetic(operator: str, arguments: tuple[Core, ...], span: Span) -> Core:
    """`+ - * / %` on numbers, and the sensible mixtures of instants and durations."""
    if len(arguments) == 1:
        return Apply("negate", arguments, type=arguments[0].type, span=span)
    if operator == "-" and {argument.type.kind for argument in arguments} == {"instant", "any"}:
        # Of an unknown value beside an instant, the likelier reading is an instant: `now - joined` is a duration.
        arguments = tuple(as_instant(argument) for argument in arguments)
    result = arguments[0].type
    for right in arguments[1:]:
        outcome = _arithmetic_type(operator, result, right.type)
        if outcome is None:
            message = f"`{operator}` does not apply to {result} and {right.type}"
            hint = "arithmetic is for numbers, and for instants and durations such as `now - memberSince`"
            if "string" in (result.kind, right.type.kind):
                hint = "joining texts is not part of the language: compare the parts, joined by `and`"
            raise CheckError(message, span, hint)
        result = outcome
    if len(arguments) > 2 and "instant" in (argument.type.kind for argument in arguments):
        # A sum through an instant must add from the left, pair by pair.
        left = arguments[0]
        for right in arguments[1:]:
            left = Apply(operator, (left, right), type=INSTANT, span=span)
        return left
    return Apply(operator, arguments, type=result, span=span)


def _arithmetic_type(operator: str, left: Type, right: Type) -> Type | None:
    kinds = (left.kind, right.kind)
    if left.is_numeric and right.is_numeric:
        whole = kinds == ("integer", "integer") and operator != "/"
        return INTEGER if whole else NUMBER
    match operator, kinds:
        case "-", ("instant", "instant"):
            return DURATION
        case "+" | "-", ("instant", "duration"):
            return INSTANT
        case "+", ("duration", "instant"):
            return INSTANT
        case "+" | "-" | "%", ("duration", "duration"):
            return DURATION
        case "/", ("duration", "duration"):
            return NUMBER
        case "*" | "/", ("duration", "integer" | "number" | "any"):
            return DURATION
        case "*", ("integer" | "number" | "any", "duration"):
            return DURATION
    return None
