"""Tokens → syntax tree, by recursive descent in the order of the grammar's precedence.

`or` < `and` < `not` < comparison < sum < product < minus < postfix. Long runs of `and`, `or` and `+` become one
node with many arguments, so that a scoring plan of two hundred terms is wide and not deep.
"""

from collections.abc import Callable

from shared.pql import forms, mistakes
from shared.pql.cursor import RESERVED, UNITS, Cursor
from shared.pql.errors import ParseError, PqlError, Span
from shared.pql.functions import FUNCTIONS, METHODS, check_arity, unknown
from shared.pql.size import check_size
from shared.pql.syntax import (
    ArrayLiteral,
    Call,
    Field,
    Filter,
    Lambda,
    Literal,
    Name,
    Node,
    ObjectLiteral,
    Parameter,
    Query,
    Up,
)
from shared.pql.tokens import Kind, Token

_NO_OPERANDS = frozenset({*RESERVED, "from", "where", "over", "before", "after", "within"})
_PLAIN = frozenset({Kind.STRING, Kind.INTEGER, Kind.DOUBLE})
_COMPARISONS = ("=", "!=", ">", ">=", "<", "<=")
_WORD_COMPARISONS = {"in": "in", "notin": "notIn", "like": "like"}


def parse(text: str) -> Query:
    """Parse a whole expression; raises TokenError, ParseError or LimitError with the span in `text`."""
    try:
        query = _Parser(text).query()
        check_size(query)
    except PqlError as error:
        raise error.locate(text) from None
    return query


class _Parser(Cursor):
    def query(self) -> Query:
        parameters: tuple[str, ...] = ()
        if self.starts_lambda():
            parameters = self.parameters()
            self.expect_symbol("=>", "after the parameters")
        body = self.expression()
        if self.token.kind is not Kind.END:
            raise self._leftover()
        return Query(parameters, body, span=Span(0, self.token.span.end))

    def expression(self) -> Node:
        self.enter()
        node = forms.let(self) if self._is_let() else self._run("or", lambda: self._run("and", self._negation))
        self.leave()
        return node

    def _run(self, word: str, operand: Callable[[], Node]) -> Node:
        operands = [operand()]
        while self.take_word(word):
            operands.append(operand())
        first = operands[0]
        return first if len(operands) == 1 else Call(word, tuple(operands), span=self.since(first.span.start))

    def _negation(self) -> Node:
        start = self.token.span.start
        if self.take_word("not") or self.take_symbol("!"):
            self.enter()
            node = Call("not", (self._negation(),), span=self.since(start))
            self.leave()
            return node
        return self._comparison()

    def _comparison(self) -> Node:
        left = self.sum()
        if self.is_symbol(*_COMPARISONS):
            function = self.advance().text
        elif self.is_word("in", "notin", "like") and not (self.in_ends and self.is_word("in")):
            function = _WORD_COMPARISONS[self.advance().text.lower()]
        elif self.is_word("occurs"):
            return forms.occurs(self, left)
        else:
            return left
        right = self.sum()
        if self.is_symbol(*_COMPARISONS):
            hint = (
                mistakes.unclosed(self.tokens, self.at, self.text)
                or "join two comparisons with `and`: `18 <= x and x < 30`"
            )
            raise ParseError("comparisons cannot be chained", self.token.span, hint)
        return Call(function, (left, right), span=self.since(left.span.start))

    def sum(self) -> Node:
        start = self.token.span.start
        terms = [self._product()]
        while self.is_symbol("+", "-"):
            symbol = self.advance().text
            if symbol == "+":
                terms.append(self._product())
            else:
                left = self._added(terms, start)
                terms = [Call("-", (left, self._product()), span=self.since(start))]
        return self._added(terms, start)

    def _added(self, terms: list[Node], start: int) -> Node:
        return terms[0] if len(terms) == 1 else Call("+", tuple(terms), span=self.since(start))

    def _product(self) -> Node:
        start = self.token.span.start
        node = self._signed()
        while self.is_symbol("*", "/", "%"):
            symbol = self.advance().text
            node = Call(symbol, (node, self._signed()), span=self.since(start))
        return node

    def _signed(self) -> Node:
        start = self.token.span.start
        if not self.take_symbol("-"):
            return self._postfix(self._primary())
        if self.token.kind in (Kind.INTEGER, Kind.DOUBLE) and self.peek().text.lower() not in UNITS:
            value = self.advance().value
            assert isinstance(value, int | float)
            return self._postfix(Literal(-value, span=self.since(start)))
        self.enter()
        node = Call("-", (self._signed(),), span=self.since(start))
        self.leave()
        return node

    def _postfix(self, node: Node) -> Node:
        while True:
            if self.take_symbol("."):
                node = self._member(node)
            elif self.take_symbol("["):
                condition = self._enclosed(self.expression)
                self.expect_symbol("]", "after the filter's condition")
                node = Filter(node, condition, span=self.since(node.span.start))
            else:
                return node

    def _enclosed(self, rule: Callable[[], Node]) -> Node:
        # Brackets end the reach of a surrounding `let x = .. in`: inside them `in` is the operator again.
        outer, self.in_ends = self.in_ends, False
        node = rule()
        self.in_ends = outer
        return node

    def _member(self, target: Node) -> Node:
        span = self.token.span
        name = self.name("a field or method name after `.`")
        if not self.is_symbol("("):
            return Field(target, name, span=self.since(target.span.start))
        if name not in METHODS:
            raise unknown(name, span, METHODS, "method")
        arguments = self._arguments()
        check_arity(name, len(arguments), self.since(span.start), METHODS)
        if name == "filter":
            return Filter(target, arguments[0], span=self.since(target.span.start))
        return Call(name, (target, *arguments), span=self.since(target.span.start))

    def _arguments(self) -> tuple[Node, ...]:
        self.expect_symbol("(", "before the arguments")
        arguments: list[Node] = []
        while not self.is_symbol(")"):
            arguments.append(self._enclosed(self._lambda if self.starts_lambda() else self.expression))
            if not self.take_symbol(","):
                break
        self.expect_symbol(")", "after the arguments")
        return tuple(arguments)

    def _lambda(self) -> Node:
        start = self.token.span.start
        parameters = self.parameters()
        self.expect_symbol("=>", "after the parameters")
        return Lambda(parameters, self.expression(), span=self.since(start))

    def _primary(self) -> Node:
        token = self.token
        match token.kind:
            case Kind.STRING | Kind.DOUBLE:
                return Literal(self.advance().value, span=token.span)
            case Kind.INTEGER if self.peek().text.lower() in UNITS:
                return self.duration("here")
            case Kind.INTEGER:
                return Literal(self.advance().value, span=token.span)
            case Kind.QUOTED:
                return Name(self.name("a name"), span=token.span)
            case Kind.NAME:
                return self._word()
            case Kind.SYMBOL:
                return self._bracketed()
        raise self._missing()

    def _bracketed(self) -> Node:
        start = self.token.span.start
        if self.take_symbol("("):
            node = self._enclosed(self.expression)
            self.expect_symbol(")", "to close the parenthesis", mistakes.LISTED if self.is_symbol(",") else None)
            return node
        if self.take_symbol("["):
            return ArrayLiteral(self._items(), span=self.since(start))
        if self.take_symbol("{"):
            return ObjectLiteral(self._entries(), span=self.since(start))
        if self.take_symbol("$"):
            if self.token.kind is not Kind.INTEGER:
                raise self.unexpected("the parameter's number after `$`", hint="the profile is `$1`")
            return Parameter(int(self.advance().value), span=self.since(start))
        levels = 0
        while self.take_symbol("^"):
            levels += 1
        if not levels:
            raise self._missing()
        up = Up(levels, span=self.since(start))
        # `^.a` and `^a` are a field, `^ and` is the object itself and a word.
        if self.token.kind in (Kind.NAME, Kind.QUOTED) and self.token.span.start == up.span.end:
            return Field(up, self.name("a field"), span=self.since(start))
        return up

    def _items(self) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self.is_symbol("]"):
            token = self.token
            if token.kind in _PLAIN and self.peek().text in (",", "]"):
                # Long lists of literals are common: they need not go through the whole grammar.
                items.append(Literal(self.advance().value, span=token.span))
            else:
                items.append(self._enclosed(self.expression))
            if not self.take_symbol(","):
                break
        self.expect_symbol("]", "after the items")
        return tuple(items)

    def _entries(self) -> tuple[tuple[str, Node], ...]:
        entries: list[tuple[str, Node]] = []
        while not self.is_symbol("}"):
            key = self.string("a key in double quotes")
            self.expect_symbol(":", "after the key")
            entries.append((key, self._enclosed(self.expression)))
            if not self.take_symbol(","):
                break
        self.expect_symbol("}", "after the entries")
        return tuple(entries)

    def _word(self) -> Node:
        token = self.token
        word = token.text.lower()
        following = self.peek()
        if word in ("exists", "forall") and self.peek(2).text.lower() == "from":
            return self.nested(forms.quantifier)
        if word == "select" and following.kind is Kind.NAME:
            return self.nested(forms.select)
        if word in forms.AGGREGATES and self._starts_operand(following):
            if following.text == "(" and not any(t.text.lower() == "over" for t in self.tokens[self.at :]):
                raise ParseError(f"`{token.text}` is no function", token.span, mistakes.aggregate(word))
            return self.nested(forms.aggregate)
        if word == "chain" and following.text == "(":
            return self.nested(forms.chain)
        if forms.is_time(self):
            return forms.time(self)
        if word in ("true", "false", "null"):
            self.advance()
            return Literal({"true": True, "false": False, "null": None}[word], span=token.span)
        if following.text == "(" and following.kind is Kind.SYMBOL and word not in RESERVED:
            return self._call()
        if word in RESERVED:
            raise self._missing()
        self.advance()
        return Name(token.text, span=token.span)

    def _starts_operand(self, token: Token) -> bool:
        if token.kind is Kind.NAME:
            return token.text.lower() not in _NO_OPERANDS
        return token.kind in (Kind.QUOTED, Kind.INTEGER, Kind.DOUBLE) or token.text in ("(", "$")

    def _call(self) -> Node:
        span = self.token.span
        name = "if" if self.token.text == "IF" else self.token.text
        if name not in FUNCTIONS:
            raise unknown(name, span, FUNCTIONS, "function")
        self.advance()
        arguments = self._arguments()
        check_arity(name, len(arguments), self.since(span.start), FUNCTIONS)
        return Call(name, arguments, span=self.since(span.start))

    def _is_let(self) -> bool:
        return self.is_word("let") and self.peek().kind is Kind.NAME and self.peek(2).text == "="

    def _leftover(self) -> ParseError:
        hint = mistakes.leftover(self.tokens, self.at)
        return self.unexpected("the end of the expression or an operator", hint=hint)

    def _missing(self) -> ParseError:
        return self.unexpected("an expression", hint=mistakes.operand(self.tokens, self.at))
