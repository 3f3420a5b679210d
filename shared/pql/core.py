"""The typed tree: what an expression means once names, scopes and sugar are resolved.

Nodes are compared by content, types and spans left out, so equal conditions of different segments are one key of the
plan. Variables are numbered by the depth of their binder, not named.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from shared.pql.errors import NO_SPAN, Span
from shared.pql.syntax import Unit
from shared.pql.types import ANY, BOOLEAN, INSTANT, Type, array_of


@dataclass(frozen=True, slots=True)
class Core:
    """The base of all typed nodes."""

    type: Type = field(default=ANY, compare=False, repr=False, kw_only=True)
    span: Span = field(default=NO_SPAN, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Const(Core):
    """A literal value; instants and durations are int microseconds."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and type(self.value) is type(other.value) and self.value == other.value

    def __hash__(self) -> int:
        return hash((type(self.value).__name__, self.value))


@dataclass(frozen=True, slots=True)
class Attribute(Core):
    """A path of the profile; the empty path is the whole profile."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable(Core):
    """The item bound by the binder at this depth, the outermost being 0."""

    level: int


@dataclass(frozen=True, slots=True)
class Get(Core):
    """A field of an object, mapped over arrays; null if missing."""

    target: Core
    name: str


@dataclass(frozen=True, slots=True)
class Apply(Core):
    """A scalar operation."""

    operation: str
    arguments: tuple[Core, ...]


@dataclass(frozen=True, slots=True)
class Each(Core):
    """An operation over the items of `source`, `body` being judged for each with the item bound at `level`."""

    operation: str
    source: Core
    level: int
    body: Core | None = None
    extra: tuple[Core, ...] = ()


@dataclass(frozen=True, slots=True)
class Events(Core):
    """The profile's events that have happened by now, ordered by (timestamp, hash of the id)."""


@dataclass(frozen=True, slots=True)
class Bound(Core):
    """An instant that may move with time: the anchor (now without one), cut to the start of `unit` moved by
    `unit_shift` units, then moved by `count` times `count_unit`, then by `micros`."""

    anchor: Core | None = None
    unit: Unit | None = None
    unit_shift: int = 0
    count: int = 0
    count_unit: Unit = "month"
    micros: int = 0
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Interval(Core):
    """Instants from `low` to `high`, both included; None is unbounded."""

    low: Bound | None
    high: Bound | None


@dataclass(frozen=True, slots=True)
class Inside(Core):
    """True if the instant `subject` lies in one of the intervals."""

    subject: Core
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class SequenceStep(Core):
    """A chain's step: the condition on the event bound at the chain's level, its window, and the gap allowed (µs)."""

    condition: Core
    gap: int | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Sequence(Core):
    """True if events match the steps in strictly increasing time order within `total` microseconds."""

    source: Core
    level: int
    steps: tuple[SequenceStep, ...]
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Segment(Core):
    """True if the profile is in the segment with this id or name."""

    reference: str


@dataclass(frozen=True, slots=True)
class Since(Core):
    """The instant at which the condition on the profile became true; null while it is false."""

    condition: Core


EVENTS = Events(type=array_of(ANY))
TRUE = Const(True, type=BOOLEAN)


def parts(node: Core) -> Iterator[Core]:
    """Yield the direct children, binders' bodies included."""
    match node:
        case Get(target=target):
            yield target
        case Apply(arguments=arguments):
            yield from arguments
        case Each(source=source, body=body, extra=extra):
            yield source
            if body is not None:
                yield body
            yield from extra
        case Bound(anchor=anchor):
            if anchor is not None:
                yield anchor
        case Interval(low=low, high=high):
            yield from (end for end in (low, high) if end is not None)
        case Inside(subject=subject, intervals=intervals):
            yield subject
            yield from intervals
        case SequenceStep(condition=condition) | Since(condition=condition):
            yield condition
        case Sequence(source=source, steps=steps):
            yield source
            yield from steps


def rebuild(node: Core, change: Callable[[Core], Core]) -> Core:
    """Return the node with every direct child replaced by `change(child)`; the same object if none changed."""
    changes: dict[str, Any] = {}
    match node:
        case Get(target=target):
            changes = {"target": change(target)}
        case Apply(arguments=arguments):
            changes = {"arguments": tuple(change(argument) for argument in arguments)}
        case Each(source=source, body=body, extra=extra):
            changes = {"source": change(source), "body": None if body is None else change(body)}
            changes["extra"] = tuple(change(item) for item in extra)
        case Bound(anchor=anchor):
            changes = {"anchor": None if anchor is None else change(anchor)}
        case Interval(low=low, high=high):
            changes = {"low": None if low is None else change(low), "high": None if high is None else change(high)}
        case Inside(subject=subject, intervals=intervals):
            changes = {"subject": change(subject), "intervals": tuple(change(interval) for interval in intervals)}
        case SequenceStep(condition=condition) | Since(condition=condition):
            changes = {"condition": change(condition)}
        case Sequence(source=source, steps=steps):
            changes = {"source": change(source), "steps": tuple(change(step) for step in steps)}
    if all(_same(getattr(node, name), value) for name, value in changes.items()):
        return node
    return replace(node, **changes)


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, tuple):
        return len(old) == len(new) and all(a is b for a, b in zip(old, new, strict=True))
    return old is new


def walk(node: Core) -> Iterator[Core]:
    """Yield the node and all below it, parents first."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(parts(current))


def event_time(level: int) -> Get:
    """The timestamp of the event bound at `level`."""
    return Get(Variable(level), "timestamp", type=INSTANT)
