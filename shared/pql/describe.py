"""The typed tree as text for people: explanations, plans, golden files. Close to the language, but not parsed again."""

from shared.pql.calendar import FIXED, civil
from shared.pql.core import (
    TRUE,
    Apply,
    Attribute,
    Bound,
    Const,
    Core,
    Each,
    Events,
    Get,
    Inside,
    Interval,
    Segment,
    Sequence,
    Since,
    Variable,
)
from shared.pql.cursor import UNITS
from shared.pql.leaves.base import LeafSpec, Recall

_INFIX = frozenset({"=", "!=", "<", "<=", ">", ">=", "in", "notIn", "like", "+", "-", "*", "/", "%", "and", "or"})


def describe(node: Core | None) -> str:
    """The text of a node."""
    match node:
        case None:
            return ""
        case Const(value=value):
            return constant(value, node.type.kind)
        case Attribute(path=path):
            return ".".join(path) or "profile"
        case Variable(level=level):
            return f"e{level}"
        case Get(target=target, name=name):
            return f"{describe(target)}.{name}"
        case Events():
            return "xEvent"
        case Segment(reference=reference):
            return f'inSegment("{reference}")'
        case Since(condition=condition):
            return f"since({describe(condition)})"
        case Recall(leaf=spec):
            return leaf(spec)
        case Bound():
            return bound(node)
        case Inside(subject=subject, intervals=intervals):
            return f"{describe(subject)} in {' or '.join(map(interval, intervals))}"
        case Apply():
            return _apply(node)
        case Each(operation=operation, source=source, level=level, body=body, extra=extra):
            inner = [f"e{level} => {describe(body)}"] if body is not None else []
            return f"{describe(source)}.{operation}({', '.join([*inner, *map(describe, extra)])})"
        case Sequence(source=source, steps=steps):
            parts = [f"{'not ' if step.negated else ''}{describe(step.condition)}" for step in steps]
            return f"chain({describe(source)}, {' → '.join(parts)})"
    return type(node).__name__


def _apply(node: Apply) -> str:
    operation, arguments = node.operation, [describe(argument) for argument in node.arguments]
    if operation == "not":
        return f"not ({arguments[0]})"
    if operation == "array":
        return f"[{', '.join(arguments)}]"
    if operation in ("instant", "instants", "truth", "single"):
        return arguments[0]
    if operation in _INFIX and len(arguments) > 1:
        wrapped = [
            f"({text})" if _is_compound(part) else text for text, part in zip(arguments, node.arguments, strict=True)
        ]
        return f" {operation} ".join(wrapped)
    return f"{operation}({', '.join(arguments)})"


def _is_compound(node: Core) -> bool:
    return isinstance(node, Apply) and node.operation in _INFIX and node.operation not in ("=", "!=")


def constant(value: object, kind: str) -> str:
    """A literal; instants and durations in their units."""
    if kind == "instant" and isinstance(value, int):
        return instant(value)
    if kind == "duration" and isinstance(value, int):
        return duration(value)
    if isinstance(value, str):
        return f'"{value}"'
    return {True: "true", False: "false", None: "null"}[value] if isinstance(value, bool | None) else str(value)


def instant(micros: int) -> str:
    """An instant as ISO 8601, UTC."""
    year, month, day = civil(micros)
    seconds, fraction = divmod(micros % FIXED["day"], 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{year:04}-{month:02}-{day:02}T{clock}{f'.{fraction:06}' if fraction else ''}Z"


def duration(micros: int) -> str:
    """A duration in its largest whole units, at most two of them, then microseconds."""
    parts, rest = [], abs(micros)
    for unit in ("day", "hour", "minute", "second"):
        count, rest = divmod(rest, FIXED[unit])
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    if rest:
        parts.append(f"{rest} µs")
    return ("-" if micros < 0 else "") + (" ".join(parts) or "0 seconds")


def bound(node: Bound) -> str:
    """An end of an interval."""
    text = "now" if node.anchor is None else describe(node.anchor)
    zone = f" in {node.zone}" if node.zone else ""
    if node.unit is not None:
        text = f"start of {node.unit} of {text}{zone}"
        if node.unit_shift:
            text += f" {_counted(node.unit_shift, node.unit)}"
    if node.count:
        text += f" {_counted(node.count, str(node.count_unit))}"
    if node.micros:
        text += f" {'+' if node.micros > 0 else '-'} {duration(abs(node.micros))}"
    return text


def _counted(count: int, unit: str) -> str:
    """`- 1 day`, `+ 2 centuries`."""
    plural = next(spelling for spelling, singular in UNITS.items() if singular == unit and spelling != unit)
    return f"{'+' if count > 0 else '-'} {abs(count)} {unit if abs(count) == 1 else plural}"


def interval(node: Interval) -> str:
    """A closed interval."""
    low = "the beginning" if node.low is None else bound(node.low)
    high = "for ever" if node.high is None else bound(node.high)
    return f"[{low}, {high}]"


def leaf(spec: LeafSpec) -> str:
    """A history leaf as an operation on its events."""
    window = f" during {_past(spec.interval)}" if isinstance(spec.interval, Interval) else ""
    events = "all events" if spec.predicate == TRUE else f"events where {describe(spec.predicate)}"
    events += window
    if spec.family == "sequence":
        steps, total = spec.extra
        return f"sequence over {events}: {' → '.join(_step(*step) for step in steps)}{_within(total)}"
    if spec.family == "general":
        return events
    body = f" of {describe(spec.body)}" if spec.body is not None else ""
    return f"{spec.function or spec.family}{body} over {events}"


def _past(window: Interval) -> str:
    """An interval of event times: without an end it ends now, since later events have not happened."""
    return f"[{'the beginning' if window.low is None else bound(window.low)}, {bound(window.high or Bound())}]"


def _step(condition: Core, window: Interval | None, gap: int | None, negated: bool) -> str:
    when = f" during {_past(window)}" if window is not None else ""
    return f"{'not ' if negated else ''}({describe(condition)}{when}{_within(gap)})"


def _within(micros: int | None) -> str:
    return f" within {duration(micros)}" if micros is not None else ""
