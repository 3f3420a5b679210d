"""Which forms of the grammar an expression uses: what the fuzz has never written it has never compared."""

from collections import Counter
from collections.abc import Iterator
from itertools import product

from shared.pql import syntax
from shared.pql.cursor import UNITS
from shared.pql.forms import AGGREGATES, TIME_WORDS
from shared.pql.functions import FUNCTIONS, METHODS, OPERATORS
from shared.pql.syntax import Node, Query

_COMPARISONS = ("<", "<=", ">", ">=", "=")
_DIRECTIONS = ("before", "after", "from")
_FIXED_UNITS = ("millisecond", "second", "minute", "hour", "day", "week")
_CALENDAR_UNITS = ("hour", "day", "week", "month", "year", "decade", "century", "millennium")
_KINDS = {
    kind.__name__
    for kind in vars(syntax).values()
    if isinstance(kind, type) and issubclass(kind, Node) and kind not in (Node, Query)
}
FORMS = frozenset(
    {
        *(f"node {kind}" for kind in _KINDS),
        *(f"call {name}" for name in ({*FUNCTIONS, *METHODS, *OPERATORS} - {"filter"})),
        *(f"literal {kind}" for kind in ("str", "int", "float", "bool", "negative")),
        *(f"duration in {unit}s" for unit in _FIXED_UNITS),
        *(f"aggregate {name} over" for name in AGGREGATES),
        *(f"{word}{zone}" for word, zone in product(TIME_WORDS, ("", " in a zone")) if word + zone != "now in a zone"),
        *(f"{which} {unit}" for which, unit in product(("this", "last", "next"), _CALENDAR_UNITS)),
        *("calendar unit in a zone", "on", "between", "before X", "after X", "X is a field of the profile"),
        *(f"distance {comparison} {direction}" for comparison, direction in product(_COMPARISONS, _DIRECTIONS)),
        *(f"distance in {unit}" for unit in sorted(set(UNITS.values()))),
        *("exists where", "exists of two", "forall where", "forall where :", "select where"),
        *(f"chain of {length}" for length in (1, 2, 3)),
        *("chain: not first", "chain: not between", "chain: not last", "chain: not WITHIN"),
        *("chain: WHEN", "chain: WITHIN", "chain: total WITHIN", "chain over a filter"),
        *(
            "^",
            "^^",
            "$1",
            "filter in a filter",
            "filter of a filter",
            "filter by a lambda",
            "lambda of one",
            "lambda of two",
        ),
        *("let", "if", "and of three", "minus sign", "+ of three", "path through an array", "[] of instants"),
    }
)


def forms_of(query: Query) -> Counter[str]:
    """How often an expression uses each form."""
    return Counter(_forms(query.body, ()))


def _forms(node: Node, around: tuple[Node, ...]) -> Iterator[str]:
    yield f"node {type(node).__name__}"
    yield from _own(node, around)
    for child in syntax.children(node):
        yield from _forms(child, (*around, node))


def _own(node: Node, around: tuple[Node, ...]) -> Iterator[str]:
    match node:
        case syntax.Call(function=name, arguments=arguments):
            yield f"call {name}"
            if name in ("and", "+") and len(arguments) > 2:
                yield f"{name} of three"
            if name == "-" and len(arguments) == 1:
                yield "minus sign"
            if name == "if":
                yield "if"
        case syntax.Literal(value=value):
            yield f"literal {type(value).__name__}"
            if type(value) in (int, float) and str(value).startswith("-"):
                yield "literal negative"
        case syntax.DurationLiteral(unit=unit):
            yield f"duration in {unit}s"
        case syntax.Aggregate(function=function):
            yield f"aggregate {function} over"
        case syntax.Let():
            yield "let"
        case syntax.Up(levels=levels):
            yield "^" * levels
        case syntax.Parameter(position=position):
            yield f"${position}"
        case syntax.Lambda(parameters=parameters):
            yield "lambda of one" if len(parameters) == 1 else "lambda of two"
        case syntax.ArrayLiteral(items=items):
            if any(isinstance(item, syntax.Call) and item.function == "instant" for item in items):
                yield "[] of instants"
        case syntax.Field(target=syntax.Field() | syntax.Name() as target) if str(target.name)[:1] in ("a", "i", "o"):
            yield "path through an array"
        case syntax.Quantifier() | syntax.Select() | syntax.Filter():
            yield from _loops(node, around)
        case syntax.Chain():
            yield from _chain(node)
        case _:
            yield from _times(node)


def _loops(node: Node, around: tuple[Node, ...]) -> Iterator[str]:
    match node:
        case syntax.Quantifier(kind=kind, bindings=bindings):
            if len(bindings) > 1:
                yield "exists of two"
            for binding in bindings:
                if binding.demand is not None:
                    yield "forall where :" if binding.narrow is not None else "forall where"
                elif binding.narrow is not None and kind == "exists":
                    yield "exists where"
        case syntax.Select(condition=condition) if condition is not None:
            yield "select where"
        case syntax.Filter(source=source, condition=condition):
            if isinstance(source, syntax.Filter):
                yield "filter of a filter"
            if isinstance(condition, syntax.Lambda):
                yield "filter by a lambda"
            if any(isinstance(outer, syntax.Filter) for outer in around):
                yield "filter in a filter"


def _times(node: Node) -> Iterator[str]:
    match node:
        case syntax.TimeWord(word=word, zone=zone):
            yield f"{word} in a zone" if zone else word
        case syntax.CalendarUnit(which=which, unit=unit, zone=zone):
            yield f"{which} {unit}"
            if zone:
                yield "calendar unit in a zone"
        case syntax.Distance(comparison=comparison, amount=amount, direction=direction, anchor=anchor):
            yield f"distance {comparison} {direction}"
            yield f"distance in {amount.unit}"
            if isinstance(anchor, syntax.Name | syntax.Field):
                yield "X is a field of the profile"
        case syntax.Relative(direction=direction, anchor=anchor):
            yield f"{direction} X"
            if isinstance(anchor, syntax.Name | syntax.Field):
                yield "X is a field of the profile"
        case syntax.On():
            yield "on"
        case syntax.Between():
            yield "between"


def _chain(node: syntax.Chain) -> Iterator[str]:
    steps = node.steps
    positive = [position for position, step in enumerate(steps) if not step.negated]
    yield f"chain of {min(len(positive), 3)}"
    if isinstance(node.source, syntax.Filter):
        yield "chain over a filter"
    if node.within is not None:
        yield "chain: total WITHIN"
    for position, step in enumerate(steps):
        if step.when is not None:
            yield "chain: WHEN"
        if step.within is not None:
            yield "chain: not WITHIN" if step.negated else "chain: WITHIN"
        if step.negated:
            place = "first" if position < positive[0] else "last" if position > positive[-1] else "between"
            yield f"chain: not {place}"


def table(counted: Counter[str], columns: int = 4) -> str:
    """All forms with their counts, the rarest first."""
    cells = [
        f"{count:>9,} {form:<28}"
        for form, count in sorted(((f, counted[f]) for f in FORMS), key=lambda p: (p[1], p[0]))
    ]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return "\n".join("".join(row).rstrip() for row in rows)
