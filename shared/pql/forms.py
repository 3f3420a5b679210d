"""The grammar's special forms: quantifiers, comprehensions, `let`, `occurs` and chains."""

from typing import Literal as OneOf
from typing import cast

from shared.pql import mistakes
from shared.pql.cursor import UNITS, Cursor
from shared.pql.errors import ParseError, did_you_mean
from shared.pql.syntax import (
    Aggregate,
    Between,
    Binding,
    CalendarUnit,
    Chain,
    Direction,
    Distance,
    DurationLiteral,
    Let,
    Name,
    Node,
    Occurs,
    On,
    Quantifier,
    Relative,
    Select,
    Step,
    TimeWord,
    When,
    Word,
)
from shared.pql.tokens import Kind

AGGREGATES = ("sum", "count", "average", "min", "max", "variance")
TIME_WORDS = ("now", "today", "yesterday", "tomorrow")
_COMPARISONS = ("<=", "<", ">=", ">", "=")


def quantifier(cursor: Cursor) -> Node:
    """`exists E from xEvent where c, I from E.items where d`."""
    start = cursor.token.span.start
    kind = cast(OneOf["exists", "forall"], cursor.advance().text.lower())
    bindings = [_binding(cursor, kind)]
    while cursor.is_symbol(",") and cursor.peek(2).text.lower() == "from":
        cursor.advance()
        # A further binding is a loop inside the one before it.
        cursor.enter()
        bindings.append(_binding(cursor, kind))
    for _ in bindings[1:]:
        cursor.leave()
    return Quantifier(kind, tuple(bindings), span=cursor.since(start))


def _binding(cursor: Cursor, kind: str) -> Binding:
    start = cursor.token.span.start
    name = cursor.name("a name for the item")
    cursor.expect_word("from", "after the name")
    source = cursor.sum()
    narrow = cursor.expression() if cursor.take_word("where") else None
    demand = None
    if cursor.is_symbol(":"):
        cursor.advance()
        demand = cursor.expression()
        if kind == "exists":
            # For `exists` the colon is only another spelling of `where`.
            if narrow is not None:
                raise ParseError("`exists` takes one condition", cursor.since(start), "join the two with `and`")
            narrow, demand = demand, None
    elif kind == "forall":
        narrow, demand = None, narrow
    return Binding(name, source, narrow, demand, span=cursor.since(start))


def select(cursor: Cursor) -> Node:
    """`select E from xEvent where c`."""
    start = cursor.advance().span.start
    name = cursor.name("a name for the item")
    if cursor.is_symbol(","):
        raise ParseError("`select` takes one name", cursor.token.span, "filter the inner array with `[...]`")
    cursor.expect_word("from", "after the name")
    source = cursor.sum()
    condition = cursor.expression() if cursor.take_word("where") else None
    return Select(name, source, condition, span=cursor.since(start))


def aggregate(cursor: Cursor) -> Node:
    """`sum E.total over E from xEvent where c`."""
    start = cursor.token.span.start
    function = cursor.advance().text.lower()
    value = cursor.sum()
    cursor.expect_word("over", f"after the value of `{function}`")
    name = cursor.name("a name for the item")
    cursor.expect_word("from", "after the name")
    source = cursor.sum()
    condition = cursor.expression() if cursor.take_word("where") else None
    return Aggregate(function, value, name, source, condition, span=cursor.since(start))


def let(cursor: Cursor) -> Node:
    """`let T = value in body`."""
    start = cursor.advance().span.start
    name = cursor.name("a name for the value")
    cursor.expect_symbol("=", "after the name")
    outer, cursor.in_ends = cursor.in_ends, True
    value = cursor.expression()
    cursor.in_ends = outer
    cursor.expect_word("in", "after the value of `let`")
    body = cursor.expression()
    return Let(name, value, body, span=cursor.since(start))


def occurs(cursor: Cursor, subject: Node) -> Node:
    """`subject occurs when`, the position being on `occurs`."""
    cursor.advance()
    return Occurs(subject, when(cursor), span=cursor.since(subject.span.start))


def when(cursor: Cursor) -> When:
    """A time condition, as after `occurs` and in a chain's WHEN."""
    start = cursor.token.span.start
    if cursor.is_symbol(*_COMPARISONS):
        comparison = cursor.advance().text
        amount = cursor.duration(f"after `{comparison}`")
        if not cursor.is_word("before", "after", "from"):
            near = did_you_mean(cursor.token.text, ("before", "after", "from"))
            hint = near or f"write `{comparison} {amount.count} {amount.unit}{'s' * (amount.count != 1)} before now`"
            raise cursor.unexpected("`before`, `after` or `from`", hint=hint)
        direction = cast(Direction, cursor.advance().text.lower())
        return Distance(comparison, amount, direction, cursor.sum(), span=cursor.since(start))
    if cursor.token.kind is Kind.INTEGER and cursor.peek().text.lower() in UNITS:
        hint = f"write `<= {cursor.token.text} {cursor.peek().text} before now`, or `=` for exactly that unit"
        raise cursor.unexpected("a comparison such as `<=` before the number of units", hint=hint)
    if cursor.is_word("in", "within", "during", "since") or _is_span(cursor):
        raise cursor.unexpected("a time condition", hint=mistakes.WINDOW)
    if cursor.is_word("before", "after"):
        relation = cast(OneOf["before", "after"], cursor.advance().text.lower())
        return Relative(relation, cursor.sum(), span=cursor.since(start))
    if cursor.take_word("between"):
        low = cursor.sum()
        cursor.expect_word("and", "between the two instants")
        return Between(low, cursor.sum(), span=cursor.since(start))
    cursor.take_word("on")
    return On(cursor.sum(), span=cursor.since(start))


def _is_span(cursor: Cursor) -> bool:
    """Tell whether `last 7 days` or the like stands here, which has no meaning."""
    return cursor.is_word("last", "past", "next", "previous") and cursor.peek().kind is Kind.INTEGER


def is_time(cursor: Cursor) -> bool:
    """Tell whether a time word or calendar unit starts here."""
    if cursor.is_word(*TIME_WORDS):
        return True
    return cursor.is_word("this", "last", "next") and cursor.peek().text.lower() in UNITS


def time(cursor: Cursor) -> Node:
    """`now`, `today("Europe/Berlin")`, `last month`."""
    start = cursor.token.span.start
    word = cursor.advance().text.lower()
    if word in TIME_WORDS:
        return TimeWord(cast(Word, word), cursor.zone(), span=cursor.since(start))
    which = cast(OneOf["this", "last", "next"], word)
    unit = cursor.unit()
    return CalendarUnit(which, unit, cursor.zone(), span=cursor.since(start))


def chain(cursor: Cursor) -> Node:
    """`chain(xEvent, timestamp, [A: WHAT(c) WHEN(w) WITHIN(d), not B: WHAT(c)], WITHIN(d))`."""
    start = cursor.advance().span.start
    cursor.expect_symbol("(", "after `chain`")
    source = cursor.sum()
    _expect(cursor, ",", "after the events of the chain")
    if not cursor.is_word("timestamp"):
        raise ParseError("a chain is ordered by `timestamp`", cursor.token.span, mistakes.CHAIN)
    ordered_by = cursor.sum()
    if not (isinstance(ordered_by, Name) and ordered_by.name == "timestamp"):
        raise ParseError("a chain is ordered by `timestamp`", ordered_by.span, mistakes.CHAIN)
    _expect(cursor, ",", "after `timestamp`")
    _expect(cursor, "[", "before the steps")
    steps = [_step(cursor)]
    while cursor.take_symbol(","):
        steps.append(_step(cursor))
    cursor.expect_symbol("]", "after the steps")
    within = _within(cursor) if cursor.take_symbol(",") else None
    cursor.expect_symbol(")", "at the end of the chain")
    return Chain(source, tuple(steps), within, span=cursor.since(start))


def _expect(cursor: Cursor, symbol: str, where: str) -> None:
    if not cursor.take_symbol(symbol):
        raise cursor.unexpected(f"`{symbol}` {where}", hint=mistakes.CHAIN)


def _step(cursor: Cursor) -> Step:
    start = cursor.token.span.start
    negated = cursor.take_word("not")
    label = cursor.name("a label for the step")
    _expect(cursor, ":", "after the step's label")
    if not cursor.take_word("what"):
        raise cursor.unexpected("`WHAT` in the step", hint=mistakes.CHAIN)
    _expect(cursor, "(", "after WHAT")
    what = cursor.expression()
    cursor.expect_symbol(")", "after the step's condition")
    window: When | None = None
    if cursor.take_word("when"):
        _expect(cursor, "(", "after WHEN")
        window = when(cursor)
        cursor.expect_symbol(")", "after the step's time")
    within = _within(cursor) if cursor.is_word("within") else None
    return Step(label, what, window, within, negated, span=cursor.since(start))


def _within(cursor: Cursor) -> DurationLiteral:
    if not cursor.take_word("within"):
        raise cursor.unexpected("`WITHIN` here", hint="write `WITHIN(30 minutes)`")
    if not cursor.take_symbol("("):
        raise cursor.unexpected("`(` after WITHIN", hint="write `WITHIN(30 minutes)`")
    amount = cursor.duration("in WITHIN")
    cursor.expect_symbol(")", "after the duration")
    return amount
