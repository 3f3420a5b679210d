"""A reader over tokens: what the grammar's rules share, and nothing about the grammar itself."""

from collections.abc import Iterable

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

    def expect_symbol(self, symbol: str, where: str) -> Token:
        """Step over the symbol or refuse."""
        if not self.is_symbol(symbol):
            raise self.unexpected(f"`{symbol}` {where}")
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
            raise self.unexpected(f"a whole number of units {what}, such as `7 days`")
        count = int(self.advance().value)
        unit = self.unit()
        return DurationLiteral(count, unit, span=self.since(start))

    def unit(self) -> Unit:
        """Take a unit of time."""
        if self.token.kind is Kind.NAME and self.token.text.lower() in UNITS:
            return UNITS[self.advance().text.lower()]
        raise self.unexpected("a unit of time such as `days`", UNITS)

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
            raise LimitError(f"the expression is nested deeper than {DEPTH_MAX} levels", self.token.span)

    def leave(self) -> None:
        """Leave the level entered last."""
        self.depth -= 1

    def unexpected(self, expected: str, known: Iterable[str] = ()) -> ParseError:
        """Build the error for the token at the position."""
        token = self.token
        found = "the end of the expression" if token.kind is Kind.END else f"`{token.text}`"
        hint = did_you_mean(token.text, known) if token.text else None
        return ParseError(f"expected {expected}, found {found}", token.span, hint)
