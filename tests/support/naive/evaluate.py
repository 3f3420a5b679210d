"""The language as its table says, over the full list of events, at one now. Slow, and obviously right.

Shares nothing with the engine but the syntax tree. Instants are marked by where they come from (timestamps, literals,
time words, fields declared so), since JSON does not tell them from text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from shared.pql.syntax import (
    Aggregate,
    ArrayLiteral,
    Binding,
    CalendarUnit,
    Call,
    Chain,
    DurationLiteral,
    Field,
    Filter,
    Lambda,
    Let,
    Literal,
    Name,
    Node,
    ObjectLiteral,
    Occurs,
    Parameter,
    Quantifier,
    Query,
    Select,
    Step,
    TimeWord,
    Up,
)
from tests.support.naive import functions, time
from tests.support.naive.sequence import matches
from tests.support.naive.values import Duration, Instant, arithmetic, compare, declared, is_number, truth
from tests.support.naive.values import field as get_field


@dataclass(frozen=True)
class NaiveEvent:
    """An event; duplicates share an id."""

    id: str
    occurred_at: int
    type: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """Everything an answer depends on. `timeline` holds the attributes as (instant, attributes), oldest first;
    `absorbed` the timelines of profiles merged into this one, by the position in `timeline` at which they were;
    `instants` names the fields that the schema declares as instants or arrays of them, or (true) as maps of either."""

    now: int
    profile_id: str = "u1"
    timeline: Sequence[tuple[int, Mapping[str, Any]]] = ()
    events: Sequence[NaiveEvent] = ()
    lists: frozenset[str] = frozenset()
    segments: Mapping[str, Query] = field(default_factory=dict)
    absorbed: Mapping[int, Sequence[tuple[int, Mapping[str, Any]]]] = field(default_factory=dict)
    instants: Mapping[str, bool] = field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.timeline[-1][1]) if self.timeline else {}

    def happened(self) -> list[dict[str, Any]]:
        """Each event once, if its time has come, by (time, hash of the id)."""
        unique = {event.id: event for event in reversed(self.events)}
        past = [event for event in unique.values() if event.occurred_at <= self.now]
        past.sort(key=lambda event: (event.occurred_at, blake2b(event.id.encode(), digest_size=8).digest()))
        return [
            {**event.body, "eventType": event.type, "timestamp": Instant(event.occurred_at), "_id": event.id}
            for event in past
        ]


def holds(query: Query, world: World) -> bool:
    """Whether a segment's condition holds."""
    value = evaluate(query, world)
    return nonempty_or_true(query.body, value)


def evaluate(query: Query, world: World) -> Any:
    """The value of an expression."""
    profile = world.attributes
    interpreter = Interpreter(world, world.happened())
    names = dict.fromkeys(query.parameters, profile)
    return interpreter.value(query.body, Frame((profile,), names))


def nonempty_or_true(node: Node, value: Any) -> bool:
    """A filter asks whether anything is left; other arrays whether one item is true."""
    return isinstance(value, list) and bool(value) if isinstance(node, Filter | Select) else truth(value)


@dataclass(frozen=True)
class Frame:
    """The implicit objects, innermost last, and the named values."""

    implicit: tuple[Any, ...]
    names: Mapping[str, Any]

    def inside(self, item: Any) -> "Frame":
        return Frame((*self.implicit, item), self.names)

    def naming(self, name: str, value: Any) -> "Frame":
        return Frame(self.implicit, {**self.names, name: value})


class Interpreter:
    """Evaluates nodes by their kind."""

    def __init__(self, world: World, events: list[dict[str, Any]]) -> None:
        self.world = world
        self.events = events

    def value(self, node: Node, frame: Frame) -> Any:
        match node:
            case Literal(value=value):
                return value
            case DurationLiteral(count=count, unit=unit):
                return Duration(count * time.MICROS[unit])
            case Name(name=name):
                if name in frame.names:
                    return frame.names[name]
                return self.events if name == "xEvent" else self.field(frame.implicit[-1], name)
            case Parameter():
                return frame.implicit[0]
            case Up(levels=levels):
                return frame.implicit[-1 - levels]
            case Field(target=Call(arguments=(Call(arguments=(Name(name="segmentMembership"), _)), known))):
                # Of a membership only its status can be asked, and either word for it will do.
                return ["realized", "existing"] if self.in_segment(str(self.value(known, frame))) else None
            case Field(target=target, name=name):
                return self.field(self.value(target, frame), name)
            case ArrayLiteral(items=items):
                return [self.value(item, frame) for item in items]
            case ObjectLiteral(entries=entries):
                return {key: self.value(item, frame) for key, item in entries}
            case Let(name=name, value=bound, body=body):
                return self.value(body, frame.naming(name, self.value(bound, frame)))
            case TimeWord() | CalendarUnit():
                return time.start_of(node, self.world.now)
            case Occurs(subject=subject, when=when):
                at = self.value(subject, frame)
                return time.occurs(at, when, lambda anchor: self.value(anchor, frame), self.world.now)
            case Chain():
                return self.chain(node, frame)
            case Call():
                return self.call(node, frame)
            case _:
                return self.over_items(node, frame)

    def field(self, target: Any, name: str) -> Any:
        value = get_field(target, name)
        return declared(value, self.world.instants[name]) if name in self.world.instants else value

    def true(self, node: Node, frame: Frame) -> bool:
        return nonempty_or_true(node, self.value(node, frame))

    def over_items(self, node: Node, frame: Frame) -> Any:
        match node:
            case Filter(source=source, condition=condition):
                items = functions.items(self.value(source, frame))
                return [item for item in items if self.judge(condition, item, frame)]
            case Select(name=name, source=source, condition=condition):
                return self.narrowed(name, source, condition, frame)
            case Aggregate(function=function, value=value, name=name, source=source, condition=condition):
                items = self.narrowed(name, source, condition, frame)
                if function == "count":
                    return len(items)
                return functions.fold(function, [self.value(value, frame.naming(name, item)) for item in items])
        assert isinstance(node, Quantifier), node
        return self.quantified(node.kind, node.bindings, frame)

    def narrowed(self, name: str, source: Node, condition: Node | None, frame: Frame) -> list[Any]:
        items = functions.items(self.value(source, frame))
        return [item for item in items if condition is None or self.true(condition, frame.naming(name, item))]

    def judge(self, body: Node, item: Any, frame: Frame) -> bool:
        if isinstance(body, Lambda):
            return self.true(body.body, frame.naming(body.parameters[0], item))
        return self.true(body, frame.inside(item))

    def per_item(self, body: Node, item: Any, frame: Frame) -> Any:
        if isinstance(body, Lambda):
            return self.value(body.body, frame.naming(body.parameters[0], item))
        return self.value(body, frame.inside(item))

    def quantified(self, kind: str, bindings: tuple[Binding, ...], frame: Frame) -> bool:
        binding, rest = bindings[0], bindings[1:]
        verdicts = []
        for item in functions.items(self.value(binding.source, frame)):
            inner = frame.naming(binding.name, item)
            if binding.narrow is not None and not self.true(binding.narrow, inner):
                continue
            demand = binding.demand is None or self.true(binding.demand, inner)
            verdicts.append(demand and (not rest or self.quantified(kind, rest, inner)))
        return any(verdicts) if kind == "exists" else all(verdicts)

    def chain(self, node: Chain, frame: Frame) -> bool:
        events = [e for e in functions.items(self.value(node.source, frame)) if isinstance(e.get("timestamp"), int)]

        def meets(step: Step, event: Any) -> bool:
            inner = frame.inside(event)
            if not self.true(step.what, inner):
                return False
            anchor: Callable[[Node], Any] = lambda at: self.value(at, inner)  # noqa: E731
            return step.when is None or time.occurs(event["timestamp"], step.when, anchor, self.world.now)

        def gap(step: Step) -> int | None:
            return step.within.count * time.MICROS[step.within.unit] if step.within else None

        total = node.within.count * time.MICROS[node.within.unit] if node.within else None
        return matches(node.steps, total, sorted(events, key=lambda e: e["timestamp"]), meets, gap, self.world.now)

    def call(self, node: Call, frame: Frame) -> Any:
        name, arguments = node.function, node.arguments
        match name:
            case "and":
                return all(self.true(argument, frame) for argument in arguments)
            case "or":
                return any(self.true(argument, frame) for argument in arguments)
            case "not":
                return not self.true(arguments[0], frame)
            case "if":
                return self.value(arguments[1 if self.true(arguments[0], frame) else 2], frame)
            case "=" | "!=" | "<" | "<=" | ">" | ">=":
                return compare(name, self.value(arguments[0], frame), self.value(arguments[1], frame))
            case "inSegment":
                return self.in_segment(str(self.value(arguments[0], frame)))
            case "inList":
                return self.value(arguments[0], frame) in self.world.lists
            case "since":
                return self.since(arguments[0])
            case "profileId":
                return self.world.profile_id
            case "bucket":
                salt = self.value(arguments[0], frame) if arguments else ""
                digest = blake2b(f"{salt}\0{self.world.profile_id}".encode(), digest_size=8).digest()
                return int.from_bytes(digest, "big") % 100
            case "+" | "-" | "*" | "/" | "%":
                return self.arithmetic(name, [self.value(argument, frame) for argument in arguments])
        if name in functions.PER_ITEM and len(arguments) > 1:
            return self.method_per_item(name, arguments, frame)
        values = [self.value(argument, frame) for argument in arguments]
        return functions.call(name, values, self.world.now)

    def arithmetic(self, name: str, values: list[Any]) -> Any:
        if len(values) == 1:
            return -values[0] if is_number(values[0]) else None
        result = values[0]
        for value in values[1:]:
            result = arithmetic(name, result, value)
        return result

    def in_segment(self, name: str) -> bool:
        query = self.world.segments.get(name)
        return query is not None and holds(query, self.world)

    def since(self, condition: Node) -> Instant | None:
        began: Instant | None = None
        for position, (at, attributes) in enumerate(self.world.timeline):
            merged = self.world.absorbed.get(position)
            if merged is not None:
                # What held for either of the two, and holds for the one they became, began with the earlier.
                other = Interpreter(replace(self.world, timeline=merged, absorbed={}), []).since(condition)
                began = min((one for one in (began, other) if one is not None), default=None)
            if not self.true(condition, Frame((dict(attributes),), {})):
                began = None
            elif began is None:
                began = Instant(at)
        return began

    def method_per_item(self, name: str, arguments: tuple[Node, ...], frame: Frame) -> Any:
        source, body = self.value(arguments[0], frame), arguments[1]
        if name == "map" and isinstance(source, dict) and isinstance(body, Lambda) and len(body.parameters) == 2:
            key, value = body.parameters
            results = [self.value(body.body, frame.naming(key, k).naming(value, source[k])) for k in sorted(source)]
            return functions.collected(body.body, results)
        items = functions.items(source)
        if name == "exists":
            return any(self.judge(body, item, frame) for item in items)
        if name == "forall":
            return all(self.judge(body, item, frame) for item in items)
        values = [self.per_item(body, item, frame) for item in items]
        if name == "map":
            return functions.collected(body.body if isinstance(body, Lambda) else body, values)
        if name == "decayedSum":
            half_life = int(self.value(arguments[2], frame))
            return functions.decayed(items, values, half_life, self.world.now)
        extra = [self.value(argument, frame) for argument in arguments[2:]]
        return functions.keyed(name, items, values, extra)
