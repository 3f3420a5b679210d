"""Rewrites of the typed tree, in order: each pass is tree → tree, keeps the meaning, and makes the planner's work
plain.

`PASSES` is the order; a pass may rely on those before it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from shared.pql.core import (
    Apply,
    Attribute,
    Bound,
    Const,
    Core,
    Each,
    Get,
    Inside,
    Interval,
    Segment,
    Variable,
    parts,
    rebuild,
    walk,
)
from shared.pql.errors import CheckError
from shared.pql.types import BOOLEAN, INSTANT, array_of

Pass = Callable[[Core], Core]
_NEGATIONS = {"isNull": "isNotNull", "isNotNull": "isNull"}
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_REALIZED = frozenset({"realized", "existing"})
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def rewrite(core: Core) -> Core:
    """Apply all passes."""
    for each_pass in PASSES:
        core = each_pass(core)
    return core


def _bottom_up(change: Pass) -> Pass:
    def run(node: Core) -> Core:
        return change(rebuild(node, run))

    return run


def recognise_memberships(node: Core) -> Core:
    """`segmentMembership.get("ups").get(id).status in ["realized", "existing"]` is `inSegment(id)`."""
    if not (isinstance(node, Apply) and any(_membership_path(argument) is not None for argument in node.arguments)):
        return node
    status, values = node.arguments if len(node.arguments) == 2 else (node, node)
    reference = _membership_path(status) if node.operation in ("in", "=") else None
    listed = values.arguments if isinstance(values, Apply) and values.operation == "array" else (values,)
    wanted = {value.value for value in listed if isinstance(value, Const)}
    if reference is None or len(wanted) != len(listed) or not wanted <= _REALIZED:
        hint = 'compare with ["realized", "existing"]; who is out, for whatever reason, is `not inSegment("..")`'
        raise CheckError("of a segment membership only `realized` and `existing` are known here", node.span, hint)
    return Segment(reference, type=BOOLEAN, span=node.span)


def _membership_path(node: Core) -> str | None:
    names: list[str] = []
    while isinstance(node, Get):
        names.append(node.name)
        node = node.target
    if not isinstance(node, Attribute):
        return None
    path = (*node.path, *reversed(names))
    if len(path) == 4 and path[:2] == ("segmentMembership", "ups") and path[3] == "status":
        return path[2]
    return None


def fold_constants(node: Core) -> Core:
    """Logic on literals, double negation, and `and`/`or` inside their like."""
    if not isinstance(node, Apply):
        return node
    if node.operation == "not":
        inner = node.arguments[0]
        if isinstance(inner, Const):
            return replace(inner, value=inner.value is not True)
        if isinstance(inner, Apply) and inner.operation == "not":
            return inner.arguments[0]
        if isinstance(inner, Apply) and inner.operation in _NEGATIONS:
            return replace(inner, operation=_NEGATIONS[inner.operation])
        return node
    if node.operation in ("and", "or"):
        return _flattened(node)
    if node.operation == "if" and isinstance(node.arguments[0], Const):
        return node.arguments[1] if node.arguments[0].value is True else node.arguments[2]
    return node


def _flattened(node: Apply) -> Core:
    deciding = node.operation == "or"
    kept: list[Core] = []
    for argument in node.arguments:
        if isinstance(argument, Const):
            if (argument.value is True) is deciding:
                return Const(deciding, type=BOOLEAN, span=node.span)
        elif isinstance(argument, Apply) and argument.operation == node.operation:
            kept.extend(item for item in argument.arguments if item not in kept)
        elif argument not in kept:
            kept.append(argument)
    if not kept:
        return Const(not deciding, type=BOOLEAN, span=node.span)
    return kept[0] if len(kept) == 1 else replace(node, arguments=tuple(kept))


def compare_with_now(node: Core) -> Core:
    """`now - x > 3 days` and `x < now` are questions of where `x` lies; only so do they have a next change."""
    if not (isinstance(node, Apply) and node.operation in _MIRROR):
        return node
    left, right = node.arguments
    operation = node.operation
    if _is_now(right) and not _is_now(left):
        left, right, operation = right, left, _MIRROR[operation]
    if _is_now(left):
        assert isinstance(left, Bound)
        return _now_against(left, operation, right, node) or node
    if isinstance(left, Const) and left.type.kind == "duration":
        left, right, operation = right, left, _MIRROR[operation]
    if not (
        isinstance(left, Apply) and left.operation == "-" and isinstance(right, Const) and type(right.value) is int
    ):
        return node
    minuend, subtrahend = left.arguments
    if _is_now(minuend):
        # now - x > d  is  now - d > x
        assert isinstance(minuend, Bound)
        return (
            _now_against(replace(minuend, micros=minuend.micros - right.value), operation, _single(subtrahend), node)
            or node
        )
    if _is_now(subtrahend):
        assert isinstance(subtrahend, Bound)
        moved = replace(subtrahend, micros=subtrahend.micros + right.value)
        return _now_against(moved, _MIRROR[operation], _single(minuend), node) or node
    return node


def _single(node: Core) -> Core:
    # Arithmetic has no value over an array, while a comparison may hold for one of its items.
    return Apply("single", (node,), type=node.type, span=node.span)


def _is_now(node: Core) -> bool:
    return isinstance(node, Bound) and node.anchor is None and node.unit is None


def _now_against(now: Bound, operation: str, other: Core, node: Apply) -> Core | None:
    if any(_is_now(inner) for inner in walk(other)):
        return None
    low: Bound | None = None
    high: Bound | None = None
    if operation in (">", ">="):
        high = replace(now, micros=now.micros - (operation == ">"))
    else:
        low = replace(now, micros=now.micros + (operation == "<"))
    return Inside(other, (Interval(low, high),), type=BOOLEAN, span=node.span)


def move_now_arithmetic(node: Core) -> Core:
    """`now - 7 days` is a bound of its own."""
    if not (isinstance(node, Apply) and node.operation in ("+", "-") and len(node.arguments) == 2):
        return node
    left, right = node.arguments
    if node.operation == "+" and isinstance(right, Bound):
        left, right = right, left
    if isinstance(left, Bound) and isinstance(right, Const) and right.type.kind == "duration":
        sign = 1 if node.operation == "+" else -1
        return replace(left, micros=left.micros + sign * right.value, type=INSTANT, span=node.span)
    return node


def ask_existence(node: Core) -> Core:
    """A comparison with values reached through an array asks for an item: `xEvent.a > 0` is `exists E ...: E.a > 0`."""
    if isinstance(node, Inside) and _reached(node.subject):
        return _existence(node.subject, lambda body: replace(node, subject=body), node)
    if isinstance(node, Apply) and node.operation in _COMPARISONS | {"in"}:
        left, right = node.arguments
        if _reached(left) and right.type.kind != "array":
            return _existence(left, lambda body: replace(node, arguments=(body, right)), node)
        if _reached(left) and node.operation == "in":
            return _existence(left, lambda body: replace(node, arguments=(body, right)), node)
        if _reached(right) and left.type.kind != "array" and node.operation != "in":
            return _existence(right, lambda body: replace(node, arguments=(left, body)), node)
    return node


def _reached(node: Core) -> bool:
    return isinstance(node, Each) and node.operation == "flatMap" and node.body is not None


def _existence(reached: Core, ask: Callable[[Core], Core], node: Core) -> Core:
    assert isinstance(reached, Each)
    assert reached.body is not None
    free = {
        inner.level
        for part in parts(node)
        if part is not reached
        for inner in walk(part)
        if isinstance(inner, Variable)
    }
    if any(level >= reached.level for level in free):
        return node
    found = Each("filter", reached.source, reached.level, ask(reached.body), type=array_of(reached.body.type))
    return Apply("nonempty", (found,), type=BOOLEAN, span=node.span)


def fuse_arrays(node: Core) -> Core:
    """A filter of a filter is one filter; an aggregate of a map is an aggregate with a body; a non-empty count is `>
    0`."""
    if not isinstance(node, Each) or not isinstance(node.source, Each):
        return node
    source = node.source
    if node.operation == "filter" and source.operation == "filter" and node.level == source.level:
        assert node.body is not None
        assert source.body is not None
        both = _flattened(Apply("and", (source.body, node.body), type=BOOLEAN, span=node.span))
        return replace(source, body=both, span=node.span)
    is_fold = node.operation in ("sum", "average", "variance", "min", "max", "distinct")
    if is_fold and node.body is None and source.operation in ("map", "flatMap") and not _makes_entries(source.body):
        return replace(node, source=source.source, level=source.level, body=source.body)
    if node.operation == "count" and source.operation == "flatMap":
        return replace(node, source=source.source, level=source.level, body=source.body)
    return node


def _makes_entries(body: Core | None) -> bool:
    return isinstance(body, Apply) and body.operation == "mapEntry"


def relevel(node: Core, by: int) -> Core:
    """Renumber a closed term's variables, so that equal terms at different depths are equal keys."""
    if not by:
        return node

    def run(inner: Core) -> Core:
        inner = rebuild(inner, run)
        if isinstance(inner, Variable) or (hasattr(inner, "level") and getattr(inner, "body", inner) is not None):
            return replace(inner, level=inner.level - by)  # type: ignore[call-arg]
        return inner

    return run(node)


PASSES: Final[tuple[Pass, ...]] = (
    _bottom_up(recognise_memberships),
    _bottom_up(fold_constants),
    _bottom_up(move_now_arithmetic),
    _bottom_up(compare_with_now),
    _bottom_up(ask_existence),
    _bottom_up(fuse_arrays),
    _bottom_up(fold_constants),
)
