"""Typing rules of operators, functions and methods."""

from dataclasses import replace

from shared.pql import check_text, check_time
from shared.pql.check_arrays import fold, mapped, need_array, positive, positive_duration
from shared.pql.check_values import (
    arithmetic,
    as_declared,
    as_instant,
    as_instants,
    compare,
    literal,
    negate,
    truth,
    type_hint,
)
from shared.pql.core import Apply, Attribute, Bound, Const, Core, Each, Events, Get, Inside, Segment, Since, walk
from shared.pql.errors import CheckError, Span
from shared.pql.functions import METHODS, usage
from shared.pql.scope import Lowering, Scope
from shared.pql.syntax import Call, Lambda, Literal, Node
from shared.pql.types import (
    BOOLEAN,
    DURATION,
    INSTANT,
    INTEGER,
    NUMBER,
    STRING,
    Type,
    array_of,
    comparable,
    item_of,
    join,
)

_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_ORDERED = frozenset({"any", "null", "integer", "number", "string", "instant", "duration"})
_SET_METHODS = frozenset({"intersects", "intersection", "subsetOf", "supersetOf"})
_SESSION = Type("object", fields={"start": INSTANT, "end": INSTANT, "duration": DURATION, "count": INTEGER})


def lower(checker: Lowering, call: Call, scope: Scope) -> Core:
    """The typed tree of a call."""
    name = call.function
    if name in ("and", "or", "not"):
        arguments = tuple(checker.condition(argument, scope) for argument in call.arguments)
        return Apply(name, arguments, type=BOOLEAN, span=call.span)
    if name in METHODS and METHODS[name].each is not None:
        return _per_item(checker, call, scope)
    if name in ("inSegment", "inList") and not isinstance(call.arguments[0], Literal):
        # Before names are looked up: an id without quotes is a likelier slip than an unknown field.
        raise CheckError(f"`{name}` needs a text written out in double quotes", call.arguments[0].span, usage(name))
    arguments = tuple(checker.lower(argument, scope) for argument in call.arguments)
    if name in _COMPARISONS:
        return compare(name, arguments[0], arguments[1], call.span)
    if name in ("in", "notIn", "includes"):
        return _membership(name, arguments, call.span)
    if name in ("+", "-", "*", "/", "%"):
        return arithmetic(name, arguments, call.span)
    if check_text.handles(name):
        return check_text.lower(name, arguments, call.span)
    return _function(name, arguments, call.span)


def _membership(name: str, arguments: tuple[Core, ...], span: Span) -> Core:
    value, items = arguments if name != "includes" else arguments[::-1]
    if not items.type.accepts("array"):
        hint = usage(name) if name == "includes" else f'write `{name} ["a", "b"]`'
        raise CheckError(f"`{name}` needs an array, found {items.type}", items.span, hint)
    if items.type.kind == "array" and not comparable(value.type, item_of(items.type)):
        hint = type_hint(value, item_of(items.type))
        raise CheckError(f"cannot look for {value.type} in {items.type}", span, hint)
    if "instant" in (value.type.kind, item_of(items.type).kind):
        value, items = as_instant(value), Apply("instant", (items,), type=array_of(INSTANT), span=items.span)
    return Apply("notIn" if name == "notIn" else "in", (value, items), type=BOOLEAN, span=span)


def _per_item(checker: Lowering, call: Call, scope: Scope) -> Core:
    name, target, rest = call.function, call.arguments[0], call.arguments[1:]
    source = checker.lower(target, scope)
    if name == "map" and source.type.kind == "map":
        return _map_entries(checker, call, source, rest[0], scope)
    need_array(source, f"`{name}`", target.span)
    if name in ("topN", "bottomN") and isinstance(rest[0], Literal):
        raise CheckError(f"`{name}` takes the path first, then the number", call.span, usage(name))
    body = checker.item(rest[0], source, scope) if rest else None
    if name in ("exists", "forall"):
        assert body is not None
        condition = truth(body) if name == "exists" else negate(truth(body))
        found = Each("filter", source, scope.level, condition, type=source.type, span=call.span)
        result = Apply("nonempty", (found,), type=BOOLEAN, span=call.span)
        return result if name == "exists" else negate(result)
    extra = tuple(checker.lower(argument, scope) for argument in rest[1:])
    return fold(name, source, scope.level, body, extra, call.span)


def _map_entries(checker: Lowering, call: Call, source: Core, body_node: Node, scope: Scope) -> Core:
    if not isinstance(body_node, Lambda):
        raise CheckError("`map` over a map needs a lambda with key and value", call.span, "write `.map((K, G) => ..)`")
    body = checker.item(body_node, source, scope, count=2)
    return Each("mapEntries", source, scope.level, body, type=mapped(body), span=call.span)


def _function(name: str, arguments: tuple[Core, ...], span: Span) -> Core:
    match name:
        case "if":
            chosen = join(arguments[1].type, arguments[2].type)
            return Apply("if", (truth(arguments[0]), arguments[1], arguments[2]), type=chosen, span=span)
        case "isNull" | "isNotNull":
            return _existence(name, arguments[0], span)
        case "count" | "head":
            return _whole_array(name, arguments[0], span)
        case "burst" | "sessions":
            return _over_events(name, arguments, span)
        case "get" | "keys" | "values":
            return _map_method(name, arguments, span)
        case "inSegment" | "inList":
            reference = literal(arguments[0], name)
            if name == "inSegment":
                return Segment(reference, type=BOOLEAN, span=span)
            return Apply("inList", (arguments[0],), type=BOOLEAN, span=span)
        case "mapEntry":
            return Apply("mapEntry", arguments, type=arguments[1].type, span=span)
        case "since":
            return _since(arguments[0], span)
        case "profileId":
            return Apply("profileId", (), type=STRING, span=span)
        case "bucket":
            salt = Const(literal(arguments[0], name) if arguments else "", type=STRING)
            return Apply("bucket", (salt,), type=INTEGER, span=span)
        case "distanceKm" | "insideBox":
            return _geo(name, arguments, span)
    if name in _SET_METHODS:
        return _set_method(name, arguments, span)
    return check_time.function(name, arguments, span)


def _existence(name: str, value: Core, span: Span) -> Core:
    if isinstance(value, Each) and value.operation == "flatMap":
        # A path through an array is null when it reaches no value at all.
        reached = Apply("nonempty", (value,), type=BOOLEAN, span=span)
        return reached if name == "isNotNull" else negate(reached)
    return Apply(name, (value,), type=BOOLEAN, span=span)


def _whole_array(name: str, source: Core, span: Span) -> Core:
    need_array(source, f"`{name}`", source.span)
    return fold(name, source, 0, None, (), span)


def _over_events(name: str, arguments: tuple[Core, ...], span: Span) -> Core:
    source, argument = arguments
    need_array(source, f"`{name}`", source.span)
    if name == "burst":
        positive(argument, name)
        return Each(name, source, 0, None, (argument,), type=DURATION, span=span)
    positive_duration(argument, name)
    session = Type("object", fields={**_SESSION.fields, "events": source.type})
    return Each(name, source, 0, None, (argument,), type=array_of(session), span=span)


def _map_method(name: str, arguments: tuple[Core, ...], span: Span) -> Core:
    target = arguments[0]
    if target.type.kind not in ("map", "object", "any"):
        hint = "an array has `.head()` and `[condition]`, text and numbers are compared as they are"
        raise CheckError(f"`{name}` needs a map, found {target.type}", span, hint)
    value = item_of(target.type)
    if name == "get":
        if isinstance(arguments[1], Const) and isinstance(arguments[1].value, str):
            return as_declared(Get(target, arguments[1].value, type=value, span=span))
        return as_declared(Apply("get", arguments, type=value, span=span))
    if name == "keys":
        return Apply(name, arguments, type=array_of(STRING), span=span)
    return as_declared(Apply(name, arguments, type=array_of(value), span=span))


def _set_method(name: str, arguments: tuple[Core, ...], span: Span) -> Core:
    for argument in arguments:
        if not argument.type.accepts("array"):
            raise CheckError(f"`{name}` needs two arrays, found {argument.type}", argument.span, usage(name))
    left, right = (item_of(argument.type) for argument in arguments)
    if not comparable(left, right):
        hint = type_hint(arguments[0], right)
        raise CheckError(f"`{name}` would compare {left} with {right}, which are never equal", span, hint)
    if "instant" in (left.kind, right.kind):
        arguments = tuple(as_instants(replace(argument, type=array_of(INSTANT))) for argument in arguments)
    result = array_of(left) if name == "intersection" else BOOLEAN
    return Apply(name, arguments, type=result, span=span)


def _since(condition: Core, span: Span) -> Core:
    checked = truth(condition)
    for node in walk(checked):
        if isinstance(node, Events | Since | Segment | Inside | Bound) or (
            isinstance(node, Apply) and node.operation == "inList"
        ):
            hint = f"{usage('since')}; of events ask for `.first(timestamp)` or `.last(timestamp)`"
            raise CheckError("`since` takes a condition on the profile's own attributes", node.span or span, hint)
    if not any(isinstance(node, Attribute) for node in walk(checked)):
        raise CheckError("`since` takes a condition on the profile's attributes", span, usage("since"))
    return Since(checked, type=INSTANT, span=span)


def _geo(name: str, arguments: tuple[Core, ...], span: Span) -> Core:
    for argument in arguments:
        if not argument.type.is_numeric:
            message = f"`{name}` needs degrees as numbers, found {argument.type}"
            raise CheckError(message, argument.span, usage(name))
    return Apply(name, arguments, type=NUMBER if name == "distanceKm" else BOOLEAN, span=span)
