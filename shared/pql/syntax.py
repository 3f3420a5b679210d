"""The abstract syntax: frozen nodes, each with the span of text it came from.

Spans do not take part in equality, so `parse(print(tree)) == tree` is a law of the language. Operators, functions and
methods are all `Call`s, as in the reference's `fnApply`; everything that binds a name has a node of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Literal as OneOf

from shared.pql.errors import NO_SPAN, Span

Unit = OneOf[
    "millisecond", "second", "minute", "hour", "day", "week", "month", "year", "decade", "century", "millennium"
]
Direction = OneOf["before", "after", "from"]
Word = OneOf["now", "today", "yesterday", "tomorrow"]


@dataclass(frozen=True, slots=True)
class Node:
    """The base of all syntax nodes."""

    span: Span = field(default=NO_SPAN, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A string, number, boolean or null."""

    value: str | int | float | bool | None

    def __eq__(self, other: object) -> bool:
        # True == 1 == 1.0 in Python; in the language they are three different literals.
        return isinstance(other, Literal) and type(self.value) is type(other.value) and self.value == other.value

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class DurationLiteral(Node):
    """`30 minutes`: a count and a unit (singular)."""

    count: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A bare name: a bound variable, or a field of the innermost implicit object."""

    name: str


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """`$1`: the n-th (1-based) parameter of the query."""

    position: int


@dataclass(frozen=True, slots=True)
class Up(Node):
    """`^`, `^^`: the implicit object one, two filter levels further out."""

    levels: int


@dataclass(frozen=True, slots=True)
class Field(Node):
    """`target.name`."""

    target: Node
    name: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    """An operator, function or method applied; a method's object is its first argument."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ArrayLiteral(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ObjectLiteral(Node):
    """`{"key": value}`."""

    entries: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Filter(Node):
    """`source[condition]`, also written `source.filter(condition)`."""

    source: Node
    condition: Node


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """`(K, G) => body`."""

    parameters: tuple[str, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let name = value in body`."""

    name: str
    value: Node
    body: Node


@dataclass(frozen=True, slots=True)
class Binding(Node):
    """`name from source where narrow : demand`; `exists` has only `narrow`."""

    name: str
    source: Node
    narrow: Node | None = None
    demand: Node | None = None


@dataclass(frozen=True, slots=True)
class Quantifier(Node):
    """`exists`/`forall` over nested bindings; a later binding sees the earlier names."""

    kind: OneOf["exists", "forall"]
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Select(Node):
    """`select name from source where condition`: the matching items."""

    name: str
    source: Node
    condition: Node | None


@dataclass(frozen=True, slots=True)
class Aggregate(Node):
    """`sum value over name from source where condition`."""

    function: str
    value: Node
    name: str
    source: Node
    condition: Node | None


@dataclass(frozen=True, slots=True)
class TimeWord(Node):
    """`now`, `today`, `yesterday`, `tomorrow`, optionally in a time zone."""

    word: Word
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class CalendarUnit(Node):
    """`this month`, `last week("Europe/Berlin")`."""

    which: OneOf["this", "last", "next"]
    unit: Unit
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Distance(Node):
    """`<= 7 days before now`."""

    comparison: str
    amount: DurationLiteral
    direction: Direction
    anchor: Node


@dataclass(frozen=True, slots=True)
class Relative(Node):
    """`before X`, `after X`."""

    direction: OneOf["before", "after"]
    anchor: Node


@dataclass(frozen=True, slots=True)
class On(Node):
    """`on date(2024, 5, 1)`, `today`, `last month`."""

    anchor: Node


@dataclass(frozen=True, slots=True)
class Between(Node):
    """`between A and B`, both ends included."""

    low: Node
    high: Node


When = Distance | Relative | On | Between


@dataclass(frozen=True, slots=True)
class Occurs(Node):
    """`subject occurs when`."""

    subject: Node
    when: When


@dataclass(frozen=True, slots=True)
class Step(Node):
    """One step of a chain: `[not] label: WHAT(what) [WHEN(when)] [WITHIN(within)]`."""

    label: str
    what: Node
    when: When | None = None
    within: DurationLiteral | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """`chain(source, timestamp, [steps] [, WITHIN(span)])`."""

    source: Node
    steps: tuple[Step, ...]
    within: DurationLiteral | None = None


@dataclass(frozen=True, slots=True)
class Query(Node):
    """A whole expression: optional parameter names and the body."""

    parameters: tuple[str, ...]
    body: Node


def children(node: Node) -> Iterator[Node]:
    """Yield the direct child nodes in source order."""
    for part in fields(node):
        value = getattr(node, part.name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, Node):
                    yield item
                elif isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Node):
                    yield item[1]
