"""Syntax tree -> `pql/json`, the reference's tree as JSON, and the shape of every node in it.

Operators, functions and methods are `fnApply`, fields `fieldLookup`, constants `literal`, `$1` is `parameterReference`.
What these four kinds cannot say (names, lambdas, time) is an `fnApply` of a function of its own whose name starts with
a colon, so that both directions lose nothing.
"""

from collections.abc import Mapping
from typing import Any

from shared.pql.syntax import Call, Field, Literal, Node, Parameter, Query

Json = dict[str, Any]
LITERAL_TYPES = {str: "String", int: "Integer", float: "Double", bool: "Boolean", type(None): "Null"}
Shapes = Mapping[str, str]

SHAPES: dict[str, Shapes] = {
    "DurationLiteral": {"count": "count", "unit": "unit"},
    "Name": {"name": "name"},
    "Up": {"levels": "level"},
    "ArrayLiteral": {"items": "values"},
    "ObjectLiteral": {"entries": "entries"},
    "Filter": {"source": "value", "condition": "value or Lambda"},
    "Lambda": {"parameters": "names", "body": "value"},
    "Let": {"name": "name", "value": "value", "body": "value"},
    "Binding": {"name": "name", "source": "value", "narrow": "value or null", "demand": "value or null"},
    "Quantifier": {"kind": "quantifier", "bindings": "one or more Binding"},
    "Select": {"name": "name", "source": "value", "condition": "value or null"},
    "Aggregate": {
        "function": "aggregate",
        "value": "value",
        "name": "name",
        "source": "value",
        "condition": "value or null",
    },
    "TimeWord": {"word": "time word", "zone": "text or null"},
    "CalendarUnit": {"which": "which", "unit": "unit", "zone": "text or null"},
    "Distance": {"comparison": "comparison", "amount": "DurationLiteral", "direction": "direction", "anchor": "value"},
    "Relative": {"direction": "side", "anchor": "value"},
    "On": {"anchor": "value"},
    "Between": {"low": "value", "high": "value"},
    "Occurs": {"subject": "value", "when": "when"},
    "Step": {
        "label": "name",
        "what": "value",
        "when": "when or null",
        "within": "DurationLiteral or null",
        "negated": "flag",
    },
    "Chain": {"source": "value", "steps": "one or more Step", "within": "DurationLiteral or null"},
    "Query": {"parameters": "names", "body": "value"},
}
"""Node kinds written as `:Kind`: their fields in order, each with the name of what it may hold."""


def to_json(query: Query) -> Json:
    """The tree of a query as JSON values."""
    return _encode(query if query.parameters else query.body)


def _encode(node: Node) -> Json:
    match node:
        case Literal(value=value):
            return {"nodeType": "literal", "literalType": LITERAL_TYPES[type(value)], "value": value}
        case Parameter(position=position):
            return {"nodeType": "parameterReference", "position": position}
        case Field(target=target, name=name):
            return {"nodeType": "fieldLookup", "fieldName": name, "object": _encode(target)}
        case Call(function=function, arguments=arguments):
            return {"nodeType": "fnApply", "fnName": function, "params": [_encode(argument) for argument in arguments]}
    kind = type(node).__name__
    return {
        "nodeType": "fnApply",
        "fnName": f":{kind}",
        "params": [_encode_part(getattr(node, field)) for field in SHAPES[kind]],
    }


def _encode_part(value: Any) -> Any:
    if isinstance(value, Node):
        return _encode(value)
    if isinstance(value, tuple):
        return [_encode_part(item) for item in value]
    return value
