"""Which conditions an event can meet: an index by event type, then by one equality on an attribute.

An event's cost grows with the conditions it may meet, not with those that exist. What the index proves is not
tested again; the rest of a condition is one compiled predicate, run once per event however many leaves share it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from shared.pql.codegen import compile_event
from shared.pql.core import TRUE, Apply, Const, Core, Get, Variable
from shared.pql.history import conjoin, conjuncts
from shared.pql.leaves.base import Leaf, Record
from shared.pql.leaves.series import Series
from shared.pql.leaves.tally import TallyLeaf
from shared.pql.operators import get

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """A running total of events and the conditions to judge: by the number reached, or whatever it is."""

    leaf: TallyLeaf
    numbers: Mapping[int, tuple[int, ...]]
    otherwise: tuple[int, ...]
    in_features: bool


@dataclass(slots=True)
class Matcher:
    """A condition on events and who wants the events meeting it; `test` is None if the index proves all.

    `leaves` keep what they need themselves: `tallies`, and `others`; `series` keeps the events for all its views.
    """

    predicate: Core
    types: tuple[str, ...] | None
    equality: tuple[Path, tuple[str, ...]] | None
    test: Callable[[Record], object] | None
    leaves: tuple[Leaf, ...] = ()
    series: Series | None = None
    tallies: tuple[Tally, ...] = ()
    others: tuple[Leaf, ...] = ()

    def readers(self) -> list[Leaf]:
        """All leaves that want the events."""
        if self.series is None:
            return [*self.leaves]
        counts, sequences = self.series.counts, self.series.sequences
        return [*self.leaves, *(view.leaf for view in counts), *(view.leaf for view in sequences)]


@dataclass(slots=True)
class Bucket:
    """The matchers of one event type: those to try always, and those found by an attribute's text."""

    always: list[Matcher] = field(default_factory=list)
    by_value: dict[Path, dict[str, list[Matcher]]] = field(default_factory=dict)
    paths: list[tuple[str, Path, dict[str, list[Matcher]]]] = field(default_factory=list)
    """`by_value` with the first name of each path apart."""

    def candidates(self, record: Record) -> list[Matcher]:
        """The matchers whose indexed part holds."""
        found = self.always.copy()
        for first, rest, values in self.paths:
            value = record.get(first)
            for name in rest:
                if value is None:
                    break
                value = value.get(name) if value.__class__ is dict else get(value, name)
            if value.__class__ is str:
                if value in values:
                    found += values[value]
            elif value.__class__ is list:
                # An array equals through any of its items; the same matcher must not come twice.
                seen: dict[int, Matcher] = {}
                for item in value:
                    if item.__class__ is str and item in values:
                        seen.update((id(matcher), matcher) for matcher in values[item])
                found += seen.values()
        return found


class EventIndex:
    """All matchers of a plan, by event type; `None` holds those that name no type."""

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        self.buckets: dict[str | None, Bucket] = {}
        for matcher in matchers:
            for event_type in matcher.types if matcher.types is not None else (None,):
                _file(matcher, self.buckets.setdefault(event_type, Bucket()))

    def matches(self, record: Record) -> list[Matcher]:
        """The conditions that the event meets, each once."""
        event_type, buckets = record.get("eventType"), self.buckets
        bucket = buckets.get(event_type) if event_type.__class__ is str else None
        found = bucket.candidates(record) if bucket is not None else []
        if None in buckets:
            found += buckets[None].candidates(record)
        return [matcher for matcher in found if matcher.test is None or matcher.test(record)]

    def leaves(self, record: Record) -> list[Leaf]:
        """The leaves whose condition, or one of whose steps, the event meets."""
        return list(dict.fromkeys(leaf for matcher in self.matches(record) for leaf in matcher.readers()))


def _file(matcher: Matcher, bucket: Bucket) -> None:
    if matcher.equality is None:
        bucket.always.append(matcher)
        return
    path, values = matcher.equality
    if path not in bucket.by_value:
        bucket.by_value[path] = {}
        bucket.paths.append((path[0], path[1:], bucket.by_value[path]))
    for value in values:
        bucket.by_value[path].setdefault(value, []).append(matcher)


def matcher_of(predicate: Core) -> Matcher:
    """Split a condition into what the index proves and the compiled rest."""
    types: tuple[str, ...] | None = None
    equality: tuple[Path, tuple[str, ...]] | None = None
    rest: list[Core] = []
    for conjunct in conjuncts(predicate):
        found = _equality(conjunct)
        if found is not None and found[0] == ("eventType",) and types is None:
            types = found[1]
        elif found is not None and equality is None and found[0] != ("eventType",):
            equality = found
        else:
            rest.append(conjunct)
    remaining = conjoin(rest)
    return Matcher(predicate, types, equality, None if remaining == TRUE else compile_event(remaining))


def _equality(condition: Core) -> tuple[Path, tuple[str, ...]] | None:
    """The path and texts of `path = "a"`, `path in ["a", "b"]`, or an `or` of such on one path."""
    if not isinstance(condition, Apply):
        return None
    if condition.operation == "or":
        found = [_equality(argument) for argument in condition.arguments]
        paths = {part[0] if part else None for part in found}
        if len(paths) != 1 or None in paths:
            return None
        values = dict.fromkeys(value for part in found if part for value in part[1])
        return next(path for path in paths if path), tuple(values)
    if condition.operation not in ("=", "in"):
        return None
    left, right = condition.arguments
    if condition.operation == "=" and isinstance(left, Const):
        left, right = right, left
    path = _path(left)
    texts = _texts(right)
    return (path, texts) if path and texts is not None else None


def _path(node: Core) -> Path | None:
    names: list[str] = []
    while isinstance(node, Get):
        names.append(node.name)
        node = node.target
    return tuple(reversed(names)) if isinstance(node, Variable) and node.level == 0 and names else None


def _texts(node: Core) -> tuple[str, ...] | None:
    items = node.arguments if isinstance(node, Apply) and node.operation == "array" else (node,)
    values = [item.value for item in items if isinstance(item, Const) and isinstance(item.value, str)]
    return tuple(dict.fromkeys(values)) if len(values) == len(items) and values else None
