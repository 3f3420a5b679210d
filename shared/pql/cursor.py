"""A reader over tokens: what the grammar's rules share, and nothing about the grammar itself."""

from collections.abc import Callable, Iterable
from typing import Self

from shared.pql import mistakes
from shared.pql.errors import LimitError, ParseError, Span, did_you_mean
from shared.pql.syntax import DurationLiteral, Node, Unit
from shared.pql.tokens import Kind, Token, tokenize

DEPTH_MAX = 48

_PLURALS: dict[Unit, str] = {
    "millisecond": "milliseconds",
    "second": "seconds",
    "minute": "minutes",
    "hour": "hours",
    "day": "days",
    "week": "weeks",
    "month": "months",
    "year": "years",
    "decade": "decades",
    "century": "centuries",
    "millennium": "millennia",
}
UNITS: dict[str, Unit] = {spelling: unit for unit, plural in _PLURALS.items() for spelling in (unit, plural)}
RESERVED = frozenset({"and", "or", "not", "in", "notin", "like", "occurs", "true", "false", "null"})


class Cursor:
    """Tokens with a position; `expression` and `sum` are supplied by the parser built on it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.depth = 0
        # Inside `let x = ... in`, the word `in` ends the value instead of being the operator.
        self.in_ends = False

    def expression(self) -> Node:
        """Parse a whole expression at the position."""
        raise NotImplementedError

    def sum(self) -> Node:
        """Parse an expression without comparison or logic: what stands beside an operator."""
        raise NotImplementedError

    @property
    def token(self) -> Token:
        """The token at the position."""
        return self.tokens[self.at]

    def peek(self, offset: int = 1) -> Token:
        """The token `offset` further on, or the last."""
        return self.tokens[min(self.at + offset, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """Return the token at the position and step over it."""
        token = self.token
        if token.kind is not Kind.END:
            self.at += 1
        return token

    def is_symbol(self, *symbols: str) -> bool:
        """Tell whether the token is one of these symbols."""
        return self.token.kind is Kind.SYMBOL and self.token.text in symbols

    def is_word(self, *words: str) -> bool:
        """Tell whether the token is one of these words, in any case."""
        return self.token.kind is Kind.NAME and self.token.text.lower() in words

    def take_symbol(self, symbol: str) -> bool:
        """Step over the symbol if it is here."""
        if self.is_symbol(symbol):
            self.advance()
            return True
        return False

    def take_word(self, *words: str) -> bool:
        """Step over one of the words if it is here."""
        if self.is_word(*words):
            self.advance()
            return True
        return False

    def expect_symbol(self, symbol: str, where: str, hint: str | None = None) -> Token:
        """Step over the symbol or refuse."""
        if not self.is_symbol(symbol):
            if hint is None and symbol in ")]}":
                hint = mistakes.unclosed(self.tokens, self.at, self.text)
            raise self.unexpected(f"`{symbol}` {where}", hint=hint)
        return self.advance()

    def expect_word(self, word: str, where: str) -> Token:
        """Step over the word or refuse."""
        if not self.is_word(word):
            raise self.unexpected(f"`{word}` {where}", (word,))
        return self.advance()

    def name(self, what: str) -> str:
        """Take a name; after a dot or as a label any word will do."""
        if self.token.kind in (Kind.NAME, Kind.QUOTED):
            return str(self.advance().value)
        raise self.unexpected(what)

    def string(self, what: str) -> str:
        """Take a string literal."""
        if self.token.kind is not Kind.STRING:
            raise self.unexpected(what)
        return str(self.advance().value)

    def duration(self, what: str) -> DurationLiteral:
        """Take a whole count and a unit: `30 minutes`."""
        start = self.token.span.start
        if self.token.kind is not Kind.INTEGER:
            offset = 2 if self.is_symbol("-") else 1
            hint = mistakes.count(self.token, self.peek(offset).text)
            raise self.unexpected(f"a whole number of units {what}, such as `7 days`", hint=hint)
        count = int(self.advance().value)
        unit = self.unit()
        return DurationLiteral(count, unit, span=self.since(start))

    def unit(self) -> Unit:
        """Take a unit of time."""
        if self.token.kind is Kind.NAME and self.token.text.lower() in UNITS:
            return UNITS[self.advance().text.lower()]
        hint = mistakes.unit(self.token.text) or did_you_mean(self.token.text, UNITS)
        known = "a unit is millisecond, second, minute, hour, day, week, month, year, decade, century, millennium"
        raise self.unexpected("a unit of time such as `days`", hint=hint or known)

    def zone(self) -> str | None:
        """Take an optional time zone in parentheses: `("Europe/Berlin")`."""
        if not (self.is_symbol("(") and self.peek().kind is Kind.STRING):
            return None
        self.advance()
        zone = self.string("a time zone")
        self.expect_symbol(")", "after the time zone")
        return zone

    def starts_lambda(self) -> bool:
        """Tell whether `(a, b) =>` starts here."""
        if not self.is_symbol("("):
            return False
        offset = 1
        while self.peek(offset).kind in (Kind.NAME, Kind.QUOTED):
            follows = self.peek(offset + 1).text
            if follows == ")":
                return self.peek(offset + 2).text == "=>"
            if follows != ",":
                return False
            offset += 2
        return False

    def parameters(self) -> tuple[str, ...]:
        """Take the names in parentheses."""
        self.expect_symbol("(", "before the parameters")
        names = [self.name("a parameter name")]
        while self.take_symbol(","):
            names.append(self.name("a parameter name"))
        self.expect_symbol(")", "after the parameters")
        return tuple(names)

    def since(self, start: int) -> Span:
        """The span from `start` to the end of the last token taken."""
        return Span(start, self.tokens[self.at - 1].span.end if self.at else start)

    def enter(self) -> None:
        """Count one level of nesting; hostile texts must not exhaust the stack."""
        self.depth += 1
        if self.depth > DEPTH_MAX:
            hint = "name inner parts with `let`, or move them into a segment of their own"
            raise LimitError(f"the expression is nested deeper than {DEPTH_MAX} levels", self.token.span, hint)

    def leave(self) -> None:
        """Leave the level entered last."""
        self.depth -= 1

    def nested(self, form: Callable[[Self], Node]) -> Node:
        """Parse a form, one level further in."""
        self.enter()
        node = form(self)
        self.leave()
        return node

    def unexpected(self, expected: str, known: Iterable[str] = (), hint: str | None = None) -> ParseError:
        """Build the error for the token at the position; the closest known word or `expected` will do for a hint."""
        token = self.token
        found = "the end of the expression" if token.kind is Kind.END else f"`{token.text}`"
        if hint is None:
            hint = did_you_mean(token.text, known) or f"write {expected}"
        return ParseError(f"expected {expected}, found {found}", token.span, hint)
