"""Cutting history out of an expression: which parts become leaves, and of which family.

Works from the outside in: the largest closed part that a family can compute becomes one leaf; what is left of
`xEvent` at the end is read through general leaves.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.pql.bounds import fixed_end
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
    event_time,
    parts,
    rebuild,
    walk,
)
from shared.pql.errors import LimitError
from shared.pql.leaves.aggregates import ALGEBRAS
from shared.pql.leaves.base import LeafSpec, Recall
from shared.pql.reading import Read, read_of
from shared.pql.rewrite import relevel
from shared.pql.types import BOOLEAN, INTEGER
from shared.pql.windows import MISSING, MovingBound

ENTRIES_BY_LOOPS = (10_000, 1_000, 100)
"""Events a general leaf keeps, by how many loops over history are nested: a million turns at most."""
SEQUENCE_ENTRIES = 1_000
"""Events a sequence keeps: matching may compare every pair of them."""
_DYNAMIC = (Attribute, Bound, Events, Segment, Since, Recall)
_TYPE = Get(Variable(0), "eventType")


@dataclass(frozen=True, slots=True)
class Past:
    """A filter over `xEvent`, taken apart: what concerns the event alone, its window, and the rest."""

    level: int
    predicate: Core
    interval: Interval | None
    rest: tuple[Core, ...]


def cut(core: Core) -> Core:
    """The expression with its history replaced by `Recall`s."""
    if not any(isinstance(node, Events) for node in walk(core)):
        return core
    depth = _loops(core)
    if depth > len(ENTRIES_BY_LOOPS):
        hint = "use chain(...), an aggregate, or a let for the inner part"
        message = f"{depth} loops over xEvent inside each other, the limit is {len(ENTRIES_BY_LOOPS)}"
        raise LimitError(message, core.span, hint)
    return _Cutter(read_of(core), ENTRIES_BY_LOOPS[max(0, depth - 1)]).cut(core)


def _loops(node: Core) -> int:
    """How deeply loops over `xEvent` are nested: the work grows with that power of the events kept."""
    inner = max(map(_loops, parts(node)), default=0)
    if isinstance(node, Each) and node.body is not None and any(isinstance(n, Events) for n in walk(node.source)):
        return max(1 + _loops(node.body), inner)
    return inner


class _Cutter:
    def __init__(self, read: Read | None, entries: int) -> None:
        self.read = read
        self.entries = entries

    def cut(self, node: Core) -> Core:
        special = self._special(node)
        if special is not None:
            return special
        if isinstance(node, Events) or (
            isinstance(node, Each) and node.operation == "filter" and isinstance(node.source, Events)
        ):
            return self._general(node)
        return rebuild(node, self.cut)

    def _special(self, node: Core) -> Core | None:
        if isinstance(node, Apply) and node.operation == "nonempty":
            counted = self._aggregate(Each("count", node.arguments[0], 0, type=INTEGER, span=node.span))
            return (
                None if counted is None else Apply(">", (counted, Const(0, type=INTEGER)), type=BOOLEAN, span=node.span)
            )
        if isinstance(node, Each):
            return self._aggregate(node)
        if isinstance(node, Sequence):
            return self._sequence(node)
        return None

    def _aggregate(self, node: Each) -> Core | None:
        function = node.operation
        if function == "count" and isinstance(node.source, Each) and node.source.operation == "distinct":
            function, node = "distinctCount", replace(node.source, type=node.type)
        source, body, level = node.source, node.body, node.level
        if function not in ALGEBRAS or (function != "count" and body is None):
            return None
        past = _past(source)
        if past is None or past.rest or (body is not None and not _is_static(body, level)):
            return None
        family = "tally" if past.interval is None else "window"
        spec = LeafSpec(
            family,
            relevel(past.predicate, past.level),
            past.interval,
            function,
            None if body is None else relevel(body, level),
        )
        return Recall(spec, type=node.type, span=node.span)

    def _sequence(self, node: Sequence) -> Core | None:
        past = _past(node.source)
        if past is None or past.rest or past.interval is not None:
            return None
        steps: list[tuple[Core, Interval | None, int | None, bool]] = []
        for step in node.steps:
            condition = _split(step.condition, node.level)
            if condition.rest:
                return None
            steps.append((relevel(condition.predicate, node.level), condition.interval, step.gap, step.negated))
        source = relevel(past.predicate, past.level)
        predicate = conjoin([*conjuncts(source), *_any_type([step[0] for step in steps])])
        spec = LeafSpec("sequence", predicate, extra=(tuple(steps), node.total), entries=SEQUENCE_ENTRIES)
        return Recall(spec, type=BOOLEAN, span=node.span)

    def _general(self, node: Core) -> Core:
        past = _past(node)
        assert past is not None
        names, whole = (self.read.names, self.read.whole) if self.read is not None else (None, ())
        predicate = relevel(past.predicate, past.level)
        spec = LeafSpec("general", predicate, past.interval, extra=whole, names=names, entries=self.entries)
        recalled = Recall(spec, type=node.type, span=node.span)
        if not past.rest:
            return recalled
        assert isinstance(node, Each)
        body = past.rest[0] if len(past.rest) == 1 else Apply("and", past.rest, type=BOOLEAN)
        return replace(node, source=recalled, body=self.cut(body))


def _past(source: Core) -> Past | None:
    """Take apart `xEvent` or a filter over it; None for any other source."""
    if isinstance(source, Events):
        return Past(0, TRUE, None, ())
    if isinstance(source, Each) and source.operation == "filter" and isinstance(source.source, Events):
        assert source.body is not None
        return _split(source.body, source.level)
    return None


def conjuncts(condition: Core) -> tuple[Core, ...]:
    """The conditions that `and` joins."""
    if isinstance(condition, Apply) and condition.operation == "and":
        return condition.arguments
    return () if condition == TRUE else (condition,)


def conjoin(conditions: Iterable[Core]) -> Core:
    """Join conditions by `and`, in an order that does not depend on how they were written."""
    found = sorted(set(conditions), key=repr)
    if not found:
        return TRUE
    return found[0] if len(found) == 1 else Apply("and", tuple(found), type=BOOLEAN)


def _any_type(steps: list[Core]) -> list[Core]:
    """If every step names its event types: the condition that the event is of one of them, for the index."""
    found: list[Core] = []
    for step in steps:
        named = [c for c in conjuncts(step) if isinstance(c, Apply) and c.operation == "=" and c.arguments[0] == _TYPE]
        if not named or not all(isinstance(c, Apply) and isinstance(c.arguments[1], Const) for c in named):
            return []
        found.append(named[0])
    distinct = tuple(dict.fromkeys(found))
    return [distinct[0] if len(distinct) == 1 else Apply("or", distinct, type=BOOLEAN)]


def step_predicates(spec: LeafSpec) -> list[Core]:
    """For each step of a sequence leaf the whole condition of its events, their window apart."""
    steps = [step[0] for step in spec.extra[0]]
    # A step's own type says more than that the event is of any step's type.
    common = [part for part in conjuncts(spec.predicate) if part not in _any_type(steps)]
    return [conjoin([*common, *conjuncts(step)]) for step in steps]


def _split(condition: Core, level: int) -> Past:
    static: list[Core] = []
    rest: list[Core] = []
    interval: Interval | None = None
    for conjunct in conjuncts(condition):
        window = _as_window(conjunct, level)
        if window is not None and interval is None:
            interval = window
        elif _is_static(conjunct, level):
            static.append(conjunct)
        else:
            rest.append(conjunct)
    return Past(level, conjoin(static), interval, tuple(rest))


def _as_window(conjunct: Core, level: int) -> Interval | None:
    if not (isinstance(conjunct, Inside) and len(conjunct.intervals) == 1 and conjunct.subject == event_time(level)):
        return None
    interval = conjunct.intervals[0]
    if interval.high == Bound():
        # No event of the future has happened: an interval that ends now has no end that matters.
        interval = replace(interval, high=None)
    for end in (interval.low, interval.high):
        fixed = fixed_end(end)
        if fixed is NotImplemented or fixed is MISSING:
            return None
    return interval


def _is_static(node: Core, level: int) -> bool:
    """Tell whether a condition on the event bound at `level` needs nothing but the event."""
    for inner in walk(node):
        if isinstance(inner, _DYNAMIC) and not (isinstance(inner, Bound) and _is_fixed(inner)):
            return False
        if isinstance(inner, Variable) and inner.level < level:
            return False
        if isinstance(inner, Apply) and inner.operation in ("profileId", "bucket", "inList"):
            return False
        if isinstance(inner, Each) and inner.operation == "decayedSum":
            return False
        if isinstance(inner, Sequence):
            return False
    return True


def _is_fixed(bound: Bound) -> bool:
    return bound.anchor is not None and not isinstance(fixed_end(bound), MovingBound)


def uses_profile(core: Core) -> bool:
    """Tell whether the value depends on the profile's attributes, lists or `since` conditions."""
    return any(
        isinstance(node, Attribute | Since) or (isinstance(node, Apply) and node.operation == "inList")
        for node in walk(core)
    )


def references(core: Core) -> frozenset[str]:
    """The segments the expression refers to."""
    return frozenset(node.reference for node in walk(core) if isinstance(node, Segment))


def recalls(core: Core) -> frozenset[LeafSpec]:
    """The leaves the expression reads."""
    return frozenset(node.leaf for node in walk(core) if isinstance(node, Recall))


def since_conditions(core: Core) -> frozenset[Core]:
    """The conditions on the profile whose beginning the expression asks for."""
    return frozenset(node.condition for node in walk(core) if isinstance(node, Since))
