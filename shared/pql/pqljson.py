"""Syntax tree <-> `pql/json`, the reference's tree as JSON.

Operators, functions and methods are `fnApply`, fields `fieldLookup`, constants `literal`, `$1` is `parameterReference`.
What these four kinds cannot say (names, lambdas, time) is an `fnApply` of a function of its own whose name starts with
a colon, so that both directions lose nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from shared.pql import syntax
from shared.pql.errors import ParseError
from shared.pql.functions import FUNCTIONS, METHODS, OPERATORS
from shared.pql.syntax import Call, Field, Literal, Node, Parameter, Query

Json = dict[str, Any]
_LITERAL_TYPES = {str: "String", int: "Integer", float: "Double", bool: "Boolean", type(None): "Null"}
_DEPTH_MAX = 64
# Node kinds written as `:Kind`, with their fields in order.
_KINDS: dict[str, tuple[str, ...]] = {
    "DurationLiteral": ("count", "unit"),
    "Name": ("name",),
    "Up": ("levels",),
    "ArrayLiteral": ("items",),
    "ObjectLiteral": ("entries",),
    "Filter": ("source", "condition"),
    "Lambda": ("parameters", "body"),
    "Let": ("name", "value", "body"),
    "Binding": ("name", "source", "narrow", "demand"),
    "Quantifier": ("kind", "bindings"),
    "Select": ("name", "source", "condition"),
    "Aggregate": ("function", "value", "name", "source", "condition"),
    "TimeWord": ("word", "zone"),
    "CalendarUnit": ("which", "unit", "zone"),
    "Distance": ("comparison", "amount", "direction", "anchor"),
    "Relative": ("direction", "anchor"),
    "On": ("anchor",),
    "Between": ("low", "high"),
    "Occurs": ("subject", "when"),
    "Step": ("label", "what", "when", "within", "negated"),
    "Chain": ("source", "steps", "within"),
    "Query": ("parameters", "body"),
}


def to_json(query: Query) -> Json:
    """The tree of a query as JSON values."""
    return _encode(query if query.parameters else query.body)


def from_json(document: Mapping[str, Any]) -> Query:
    """The query of a JSON tree; raises ParseError naming the part that is not understood."""
    node = _decode(document, 0)
    return node if isinstance(node, Query) else Query((), node)


def _encode(node: Node) -> Json:
    match node:
        case Literal(value=value):
            return {"nodeType": "literal", "literalType": _LITERAL_TYPES[type(value)], "value": value}
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
        "params": [_encode_part(getattr(node, f)) for f in _KINDS[kind]],
    }


def _encode_part(value: Any) -> Any:
    if isinstance(value, Node):
        return _encode(value)
    if isinstance(value, tuple):
        return [_encode_part(item) for item in value]
    return value


def _decode(document: Any, depth: int) -> Node:
    if not isinstance(document, Mapping) or depth > _DEPTH_MAX:
        raise ParseError(f"expected a pql/json node at depth {depth} (limit {_DEPTH_MAX}), found {_shown(document)}")
    match document:
        case {"nodeType": "literal", "literalType": str() as kind, "value": value}:
            return _literal(kind, value)
        case {"nodeType": "parameterReference", "position": int() as position}:
            return Parameter(position)
        case {"nodeType": "fieldLookup", "fieldName": str() as name, "object": target}:
            return Field(_decode(target, depth + 1), name)
        case {"nodeType": "fnApply", "fnName": str() as name, "params": list() as params}:
            return _apply(name, params, depth)
    raise ParseError(
        f"unknown pql/json node {_shown(document)}; expected literal, fieldLookup, fnApply, parameterReference"
    )


def _apply(name: str, params: list[Any], depth: int) -> Node:
    if name.startswith(":"):
        fields = _KINDS.get(name[1:])
        if fields is None or len(fields) != len(params):
            raise ParseError(f"unknown pql/json function `{name}` with {len(params)} parameter(s)")
        make = cast(Callable[..., Node], getattr(syntax, name[1:]))
        return make(*(_decode_part(param, depth + 1) for param in params))
    signature = METHODS.get(name) or FUNCTIONS.get(name)
    least = 1 if name in OPERATORS else signature.least + (name in METHODS) if signature else -1
    if least < 0:
        raise ParseError(f"unknown pql/json function `{name}`")
    if len(params) < least:
        raise ParseError(f"pql/json function `{name}` takes at least {least} parameter(s), found {len(params)}")
    return Call(name, tuple(_decode(param, depth + 1) for param in params))


def _decode_part(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return _decode(value, depth)
    if isinstance(value, list):
        return tuple(_decode_part(item, depth) for item in value)
    return value


def _literal(kind: str, value: Any) -> Literal:
    if kind == "Double" and type(value) is int:
        return Literal(float(value))
    if _LITERAL_TYPES.get(type(value)) != kind:
        raise ParseError(f"the pql/json literal {_shown(value)} is not of type {kind}")
    return Literal(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
