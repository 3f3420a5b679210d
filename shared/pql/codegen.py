"""Typed tree → Python function.

Each expression is compiled once, to one function made of nested calls and lambdas. Only this module writes source,
and it writes nothing of the user's but `repr` of literals: names of fields are text arguments, variables are
numbered, everything else is a constant in the function's namespace. The namespace has no builtins.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shared.pql.bounds import fixed_end, moving_bound
from shared.pql.context import STILL
from shared.pql.core import (
    Apply,
    Attribute,
    Bound,
    Const,
    Core,
    Each,
    Get,
    Inside,
    Segment,
    Sequence,
    Since,
    Variable,
)
from shared.pql.leaves.base import Leaf, LeafSpec, Recall
from shared.pql.leaves.matching import shape_of
from shared.pql.leaves.tally import TallyLeaf
from shared.pql.leaves.window import WindowLeaf
from shared.pql.library import CALL_NAMES, FOLDS, NAMESPACE
from shared.pql.regex import like_regex, pattern
from shared.pql.thresholds import threshold

Leaves = Callable[[LeafSpec], Leaf]
SinceKeys = Callable[[Core], int]
_CLASSES = {"DICT": dict, "INT": int, "FLOAT": float}
_MIRRORED = {">=": "<=", ">": "<", "<": ">", "<=": ">="}


def compile_condition(core: Core, leaves: Leaves, since: SinceKeys) -> Callable[[Any], Any]:
    """Compile a closed expression to a function of a Context."""
    return _function(core, "c", leaves, since)


def compile_event(core: Core) -> Callable[[Any], Any]:
    """Compile an expression over one event, which is variable 0, to a function of the event's record."""
    return _function(core, "v0", _no_leaf, _no_since, {"c": STILL})


def _no_leaf(spec: LeafSpec) -> Leaf:
    raise AssertionError(f"an event condition holds a history leaf: {spec}")


def _no_since(core: Core) -> int:
    raise AssertionError(f"an event condition holds a condition on the profile: {core}")


def _function(
    core: Core, parameter: str, leaves: Leaves, since: SinceKeys, given: dict[str, Any] | None = None
) -> Callable[[Any], Any]:
    emitter = Emitter(leaves, since, dict(given or {}))
    source = f"lambda {parameter}: {emitter.emit(core)}"
    # The source holds literals, numbered names and library calls only, and runs without builtins.
    compiled: Callable[[Any], Any] = eval(source, {**NAMESPACE, **_CLASSES, **emitter.constants})  # noqa: S307
    return compiled


@dataclass(slots=True)
class Emitter:
    """Writes one function; `constants` is what its source refers to."""

    leaves: Leaves
    since: SinceKeys
    constants: dict[str, Any] = field(default_factory=dict)
    temporaries: int = 0

    def constant(self, value: Any) -> str:
        """Put a value into the namespace."""
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def emit(self, node: Core) -> str:
        """The source of an expression."""
        match node:
            case Const(value=value):
                return repr(value) if value is None or type(value) in (bool, int, str) else self.constant(value)
            case Attribute(path=path):
                return self._path(path)
            case Variable(level=level):
                return f"v{level}"
            case Get(target=target, name=name):
                return self._field(self.emit(target), name)
            case Apply():
                return self._apply(node)
            case Each():
                return self._each(node)
            case Inside(subject=subject):
                return f"c.inside({self.emit(subject)}, {self._windows(node)})"
            case Bound(anchor=anchor):
                return self._bound(node, anchor)
            case Sequence():
                return self._sequence(node)
            case Segment(reference=reference):
                return f"c.in_segment({reference!r})"
            case Since():
                return f"c.since({self.since(node.condition)})"
            case Recall(leaf=spec):
                return f"c.read({self.constant(self.leaves(spec))})"
        raise AssertionError(f"no code for {type(node).__name__}")

    def _path(self, path: tuple[str, ...]) -> str:
        source = "c.attributes"
        if not path:
            return source
        source = f"{source}.get({path[0]!r})"
        for name in path[1:]:
            source = self._field(source, name)
        return source

    def _temporary(self) -> str:
        self.temporaries += 1
        return f"t{self.temporaries}"

    def _field(self, target: str, name: str) -> str:
        """A field: most targets are objects, for which a call would take longer than the look-up."""
        found = self._temporary()
        return f"({found}.get({name!r}) if ({found} := {target}).__class__ is DICT else get({found}, {name!r}))"

    def _apply(self, node: Apply) -> str:
        operation, arguments = node.operation, node.arguments
        match operation:
            case "and" | "or":
                return "(" + f" {operation} ".join(self.emit(argument) for argument in arguments) + ")"
            case "not":
                return f"(not {self.emit(arguments[0])})"
            case "if":
                condition, then, otherwise = map(self.emit, arguments)
                return f"({then} if {condition} else {otherwise})"
            case "isNull":
                return f"({self.emit(arguments[0])} is None)"
            case "isNotNull":
                return f"({self.emit(arguments[0])} is not None)"
            case "array":
                if all(isinstance(argument, Const) for argument in arguments):
                    return self.constant([argument.value for argument in arguments if isinstance(argument, Const)])
                return "[" + ", ".join(self.emit(argument) for argument in arguments) + "]"
            case "mapEntry":
                return f"({self.emit(arguments[0])}, {self.emit(arguments[1])})"
            case "=" | ">" | ">=" | "<" | "<=":
                return self._comparison(node)
            case "like" | "matches" | "regexGroup":
                return self._regex(operation, arguments)
            case "profileId":
                return "c.id"
            case "inList":
                return f"c.in_list({self.emit(arguments[0])})"
            case "bucket":
                return f"c.bucket({self.emit(arguments[0])})"
        called = f"{CALL_NAMES[operation]}({', '.join(map(self.emit, arguments))})"
        # Scaling a duration by a number may leave a fraction of a microsecond.
        scaled = node.type.kind == "duration" and operation in ("*", "/")
        return f"{CALL_NAMES['whole']}({called})" if scaled else called

    def _comparison(self, node: Apply) -> str:
        known = self._threshold(node)
        if known is not None:
            return known
        operation, (left, right) = node.operation, node.arguments
        if isinstance(left, Const) and not isinstance(right, Const):
            left, right, operation = right, left, _MIRRORED.get(operation, operation)
        if operation == "=" and isinstance(right, Const) and type(right.value) is str:
            # Text equals nothing but text, so Python's == is exact; only arrays need the general operator.
            name = self._temporary()
            text = repr(right.value)
            return (
                f"(({name} := {self.emit(left)}) == {text} or {name}.__class__ is LIST and any_equal({name}, {text}))"
            )
        if isinstance(right, Const) and type(right.value) in (int, float):
            # Between numbers Python's operators are the language's.
            name, number = self._temporary(), self.emit(right)
            known = f"({name} := {self.emit(left)}).__class__ is INT or {name}.__class__ is FLOAT"
            compared = f"{name} {'==' if operation == '=' else operation} {number}"
            return f"({compared} if {known} else {CALL_NAMES[operation]}({name}, {number}))"
        return f"{CALL_NAMES[operation]}({self.emit(left)}, {self.emit(right)})"

    def _threshold(self, node: Apply) -> str | None:
        """`count >= n` needs not the count, over a window only whether the n-th newest is inside."""
        found = threshold(node)
        if found is None:
            return None
        spec, wanted, negated = found
        leaf = self.leaves(spec)
        if not isinstance(leaf, WindowLeaf | TallyLeaf):
            return None
        if wanted <= 0:
            return str(not negated)
        return f"({'not ' if negated else ''}{self.constant(leaf.holds)}(c, {wanted}))"

    def _regex(self, operation: str, arguments: tuple[Core, ...]) -> str:
        text = arguments[1]
        assert isinstance(text, Const)
        compiled = self.constant(pattern(like_regex(text.value) if operation == "like" else text.value, text.span))
        subject = self.emit(arguments[0])
        if operation == "regexGroup":
            return f"group({compiled}, {subject}, {self.emit(arguments[2])})"
        return f"search({compiled}, {subject})"

    def _each(self, node: Each) -> str:
        source = self.emit(node.source)
        body = "None" if node.body is None else f"(lambda v{node.level}: {self.emit(node.body)})"
        if node.operation == "mapEntries":
            to_map = self._is_entry(node.body)
            assert node.body is not None
            return f"entries({source}, (lambda v{node.level}, v{node.level + 1}: {self.emit(node.body)}), {to_map})"
        if node.operation == "map" and self._is_entry(node.body):
            return f"map_to_map({source}, {body})"
        extra = "".join(f", {self.emit(item)}" for item in node.extra)
        if node.operation == "decayedSum":
            return f"decayed_sum(c, {source}, {body}{extra})"
        assert node.operation in FOLDS, node.operation
        if node.body is None and node.operation in ("first", "last", "count") and not extra:
            return f"fold_{node.operation}({source}, None)"
        return f"fold_{node.operation}({source}, {body}{extra})"

    def _is_entry(self, body: Core | None) -> bool:
        return isinstance(body, Apply) and body.operation == "mapEntry"

    def _windows(self, node: Inside) -> str:
        ends = [(fixed_end(interval.low), fixed_end(interval.high)) for interval in node.intervals]
        if not any(end is NotImplemented for pair in ends for end in pair):
            return self.constant(tuple(ends))
        pairs = []
        for interval in node.intervals:
            pairs.append(f"({self._end(interval.low)}, {self._end(interval.high)})")
        return f"({', '.join(pairs)},)"

    def _end(self, bound: Bound | None) -> str:
        end = fixed_end(bound)
        if end is NotImplemented:
            assert bound is not None
            assert bound.anchor is not None
            return f"c.anchored({self.emit(bound.anchor)}, {self.constant(moving_bound(bound))})"
        return "None" if end is None else self.constant(end)

    def _bound(self, node: Bound, anchor: Core | None) -> str:
        if anchor is None:
            return f"c.moving({self.constant(moving_bound(node))})"
        return f"c.anchored({self.emit(anchor)}, {self.constant(moving_bound(node))})"

    def _sequence(self, node: Sequence) -> str:
        shape = self.constant(shape_of([(step.gap, step.negated) for step in node.steps], node.total))
        conditions = ", ".join(f"(lambda v{node.level}: {self.emit(step.condition)})" for step in node.steps)
        return f"matches_sequence(c, {self.emit(node.source)}, ({conditions},), {shape})"
