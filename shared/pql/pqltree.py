"""`pql/json` -> syntax tree. Every part is judged where it stands: what is accepted here can be printed as text.

Errors carry the JSON pointer (RFC 6901) of the part that does not fit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from shared.pql import syntax
from shared.pql.cursor import UNITS
from shared.pql.errors import LimitError, TreeError, did_you_mean
from shared.pql.forms import AGGREGATES, TIME_WORDS
from shared.pql.functions import FUNCTIONS, METHODS, OPERATORS, usage
from shared.pql.pqljson import LITERAL_TYPES, SHAPES
from shared.pql.size import HEIGHT_MAX, NODES_MAX, check_size
from shared.pql.syntax import Call, Field, Literal, Node, Parameter, Query

_INTEGER_MAX = 10**18 - 1
_WHEN = ("Distance", "Relative", "On", "Between")
# Kinds that are parts of other nodes and no values themselves.
_PARTS = frozenset({*_WHEN, "Binding", "Step", "Query", "Lambda"})
_MANY = frozenset({"and", "or", "+"})
_WORDS: Mapping[str, Sequence[str]] = {
    "unit": sorted(set(UNITS.values())),
    "quantifier": ("exists", "forall"),
    "aggregate": AGGREGATES,
    "time word": TIME_WORDS,
    "which": ("this", "last", "next"),
    "comparison": ("<", "<=", ">", ">=", "="),
    "direction": ("before", "after", "from"),
    "side": ("before", "after"),
}
_ROOT = 'an object such as {"nodeType": "literal", "literalType": "Integer", "value": 1}'


def from_json(document: Mapping[str, Any]) -> Query:
    """The query of a JSON tree; raises TreeError with the pointer of what does not fit, or LimitError."""
    node = _Reader().node(document, At(), ("value", "Query"))
    query = node if isinstance(node, Query) else Query((), node)
    check_size(query)
    return query


@dataclass(frozen=True, slots=True)
class At:
    """A place in the document: the way to it from the root, and how many nodes it is inside of."""

    path: tuple[str, ...] = ()
    depth: int = 0

    def inside(self, *names: str | int) -> "At":
        """A place further in."""
        return At((*self.path, *map(str, names)), self.depth)

    def error(self, expected: str, found: Any, hint: str | None = None) -> TreeError:
        """The error that something else stands here."""
        pointer = "".join(f"/{name.replace('~', '~0').replace('/', '~1')}" for name in self.path)
        return TreeError(f"expected {expected}, found {_shown(found)}", pointer, hint)


class _Reader:
    """Reads one document; counts its nodes, so that a hostile one is refused early."""

    def __init__(self) -> None:
        self.nodes = 0

    def node(self, value: Any, at: At, allowed: Sequence[str] = ("value",)) -> Node:
        """A node of one of the allowed kinds; `value` stands for everything that has a value."""
        at = replace(at, depth=at.depth + 1)
        if at.depth > HEIGHT_MAX + 1:
            raise LimitError(f"the pql/json tree is higher than {HEIGHT_MAX} levels", hint="split it into segments")
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise LimitError(f"the pql/json tree has more than {NODES_MAX} nodes", hint="split it into segments")
        if not isinstance(value, Mapping):
            raise at.error("a pql/json node", value, f"write {_ROOT}")
        node = self._node(value, at)
        kind = type(node).__name__
        if kind not in allowed and ("value" not in allowed or kind in _PARTS):
            raise at.error(" or ".join(allowed), f":{kind}")
        return node

    def _node(self, document: Mapping[Any, Any], at: At) -> Node:
        match document.get("nodeType"):
            case "literal":
                return self._literal(document, at)
            case "parameterReference":
                position = document.get("position")
                if type(position) is not int or not 1 <= position <= 1_000:
                    raise at.inside("position").error("a position from 1", position, "the profile is 1")
                return Parameter(position)
            case "fieldLookup":
                name = self._name(document.get("fieldName"), at.inside("fieldName"))
                return Field(self.node(document.get("object"), at.inside("object")), name)
            case "fnApply":
                function, params = document.get("fnName"), document.get("params")
                if not isinstance(function, str):
                    raise at.inside("fnName").error("the name of a function", function)
                if not isinstance(params, list):
                    raise at.inside("params").error("an array of parameters", params)
                return self._form(function, params, at) if function[:1] == ":" else self._call(function, params, at)
        hint = "known are literal, fieldLookup, fnApply, parameterReference"
        raise at.inside("nodeType").error("a kind of node", document.get("nodeType"), hint)

    def _literal(self, document: Mapping[Any, Any], at: At) -> Literal:
        kind, value = document.get("literalType"), document.get("value")
        if kind not in LITERAL_TYPES.values():
            hint = f"known are {', '.join(LITERAL_TYPES.values())}"
            raise at.inside("literalType").error("a type of literal", kind, hint)
        if kind == "Double" and type(value) is int and abs(value) <= _INTEGER_MAX:
            value = float(value)
        if "value" not in document or LITERAL_TYPES.get(type(value)) != kind:
            raise at.inside("value").error(f"a {kind}", value)
        if type(value) is int and abs(value) > _INTEGER_MAX:
            raise at.inside("value").error("an integer of at most 18 digits", value, "write it as a Double")
        if isinstance(value, str) and _is_broken(value):
            raise at.inside("value").error("a text without half surrogate pairs", value)
        if type(value) is float and not math.isfinite(value):
            raise at.inside("value").error("a finite number", value)
        return Literal(value)

    def _call(self, name: str, params: list[Any], at: At) -> Node:
        if name == "filter":
            raise at.inside("fnName").error("a function", name, "a filter is `:Filter` with source and condition")
        least, most, hint = _arity(name, at)
        if not least <= len(params) <= most:
            expected = (
                str(least) if least == most else f"{least} or more" if most == NODES_MAX else f"{least} to {most}"
            )
            raise at.inside("params").error(f"{expected} parameters of `{name}`", len(params), hint)
        each = METHODS[name].each if name in METHODS else None
        arguments = [
            self.node(param, at.inside("params", n), ("value", "Lambda") if n == 1 and each == 0 else ("value",))
            for n, param in enumerate(params)
        ]
        if name == "-" and len(arguments) == 1 and _is_number(arguments[0]):
            # The text of it is a negative number.
            raise at.inside("params", 0).error("a negative literal", "the minus of a number")
        return Call(name, tuple(arguments))

    def _form(self, name: str, params: list[Any], at: At) -> Node:
        kind = name[1:]
        if kind not in SHAPES:
            known = did_you_mean(name, [f":{known}" for known in SHAPES])
            raise at.inside("fnName").error("a form", name, known or f"known are :{', :'.join(SHAPES)}")
        shapes = SHAPES[kind]
        if len(params) != len(shapes):
            hint = f"the parameters of {name} are {', '.join(shapes)}"
            raise at.inside("params").error(f"{len(shapes)} parameters of `{name}`", len(params), hint)
        parts = [
            self._part(param, shape, at.inside("params", n))
            for n, (param, shape) in enumerate(zip(params, shapes.values(), strict=True))
        ]
        if kind == "Quantifier" and parts[0] == "exists":
            for n, binding in enumerate(parts[1]):
                if binding.demand is not None:
                    raise at.inside("params", 1, n, "params", 3).error("null", "a demand", "`exists` has only `narrow`")
        return cast(Callable[..., Node], getattr(syntax, kind))(*parts)

    def _part(self, value: Any, shape: str, at: At) -> Any:
        """A part of a form, of the shape that `SHAPES` names."""
        if shape.endswith(" or null"):
            if value is None:
                return None
            shape = shape.removesuffix(" or null")
        if shape.startswith("one or more "):
            found = self._each(value, at, lambda item, here: self.node(item, here, (shape.split()[-1],)))
            if not found:
                raise at.error(shape, value)
            return found
        match shape:
            case "name":
                return self._name(value, at)
            case "names":
                return self._each(value, at, self._name)
            case "values":
                return self._each(value, at, self.node)
            case "entries":
                return self._each(value, at, self._entry)
            case "when":
                return self.node(value, at, _WHEN)
            case "count" | "level":
                if type(value) is not int or not (shape == "level") <= value <= _INTEGER_MAX:
                    raise at.error("a whole number", value)
                return value
            case "flag" | "text":
                if type(value) is not (bool if shape == "flag" else str):
                    raise at.error(f"a {'boolean' if shape == 'flag' else 'text'}", value)
                if isinstance(value, str) and _is_broken(value):
                    raise at.error("a text without half surrogate pairs", value)
                return value
        if shape in _WORDS:
            if value not in _WORDS[shape]:
                raise at.error(f"one of {', '.join(_WORDS[shape])}", value)
            return value
        return self.node(value, at, shape.split(" or "))

    def _each(self, value: Any, at: At, read: Callable[[Any, At], Any]) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise at.error("an array", value)
        return tuple(read(item, at.inside(n)) for n, item in enumerate(value))

    def _entry(self, value: Any, at: At) -> tuple[str, Node]:
        if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)) or _is_broken(value[0]):
            raise at.error("a pair of key and value", value)
        return value[0], self.node(value[1], at.inside(1))

    def _name(self, value: Any, at: At) -> str:
        if not isinstance(value, str) or not value or "`" in value or "\n" in value or _is_broken(value):
            raise at.error("a name, without backticks and line breaks", value)
        return value


def _arity(name: str, at: At) -> tuple[int, int, str | None]:
    """The least and most parameters of a function, operator or method, its object among them."""
    if name in OPERATORS:
        if name == "not":
            return 1, 1, None
        return (1 if name == "-" else 2), (NODES_MAX if name in _MANY else 2), None
    signature = METHODS.get(name) or FUNCTIONS.get(name)
    if signature is None:
        hint = did_you_mean(name, [*METHODS, *FUNCTIONS])
        raise at.inside("fnName").error("a function, method or operator", name, hint)
    own = name in METHODS
    hint = f"as text: {usage(name)}" + ("; its object is the first parameter" if own else "")
    return signature.least + own, signature.most + own, hint


def _is_number(node: Node) -> bool:
    return isinstance(node, Literal) and type(node.value) in (int, float) and not str(node.value).startswith("-")


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: Any) -> str:
    """A value in a message: short, whatever it is, and without recursion."""
    match value:
        case Mapping():
            kind = value.get("fnName") or value.get("nodeType")
            return f"a node `{kind}"[:60] + "`" if isinstance(kind, str) else "an object"
        case list():
            return f"an array of length {len(value)}"
        case int() if abs(value) > _INTEGER_MAX:
            return "a larger integer"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
