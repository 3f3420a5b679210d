"""Text → tokens. Every token keeps its span, so that every later error can point."""

import re
from enum import Enum
from typing import NamedTuple

from shared.pql import mistakes
from shared.pql.errors import LimitError, Span, TokenError

TEXT_BYTES_MAX = 64 * 1024
TOKENS_MAX = 16_000
_SPLIT = "split it into segments and refer to them with inSegment(..)"


class Kind(Enum):
    """The classes of tokens the parser tells apart."""

    NAME = "name"
    QUOTED = "quoted name"
    STRING = "string"
    INTEGER = "integer"
    DOUBLE = "double"
    SYMBOL = "symbol"
    END = "end of expression"


class Token(NamedTuple):
    """One token; `value` is the decoded literal for strings and numbers, the text otherwise."""

    kind: Kind
    text: str
    value: str | int | float
    span: Span


_PATTERN = re.compile(
    r"""(?P<space>(?:\s+|//[^\n]*|/\*.*?\*/)+)
      | (?P<foreign>/\*|===?|!==|<>|&&?|\|\|?|[\u2264\u2265\u2260;]|[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9.])(?:T[\w:.+-]*)?)
      | (?P<double>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
      | (?P<integer>[0-9]+)
      | (?P<name>[^\W\d]\w*)
      | (?P<quoted>`[^`\n]+`)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<quotes>'[^'\n]*'|[\u201c-\u201e\xab][^\u201c-\u201e\xbb"\n]*[\u201c-\u201e\xbb"]
          |[\u2018-\u201a][^\u2018-\u201a'\n]*[\u2018-\u201a'])
      | (?P<symbol>=>|!=|>=|<=|[()\[\]{},:.=<>+\-*/%!$^])
    """,
    re.VERBOSE | re.DOTALL,
)
_REFUSED = frozenset({"foreign", "quotes"})
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "/": "/", "'": "'"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def tokenize(text: str) -> list[Token]:
    """Split the text; the last token is always END. Raises TokenError or LimitError."""
    size = len(text.encode("utf-8", "surrogatepass"))
    lone = _SURROGATE.search(text)
    if lone is not None:
        raise mistakes.character(lone.group(), Span(*lone.span()))
    if size > TEXT_BYTES_MAX:
        raise LimitError(f"the expression has {size} bytes, the limit is {TEXT_BYTES_MAX}", Span(0, 1), _SPLIT)
    tokens: list[Token] = []
    position = 0
    for match in _PATTERN.finditer(text):
        span = Span(*match.span())
        if span.start != position:
            break
        position, kind = span.end, match.lastgroup
        if kind == "symbol":
            tokens.append(Token(Kind.SYMBOL, match[0], match[0], span))
        elif kind == "name":
            tokens.append(Token(Kind.NAME, match[0], match[0], span))
        elif kind in _REFUSED:
            raise mistakes.foreign(match[0], span)
        elif kind != "space":
            tokens.append(_literal(match[0], kind, span))
        if len(tokens) > TOKENS_MAX:
            raise LimitError(f"the expression has more than {TOKENS_MAX} words and signs", span, _SPLIT)
    if position != len(text):
        raise _unreadable(text, position)
    tokens.append(Token(Kind.END, "", "", Span(position, position)))
    return tokens


def _literal(text: str, kind: str | None, span: Span) -> Token:
    match kind:
        case "double":
            value = float(text)
            if value == float("inf"):
                raise TokenError(f"the number {text} is too large", span, "the largest is about 1.8e308")
            return Token(Kind.DOUBLE, text, value, span)
        case "integer":
            return Token(Kind.INTEGER, text, _integer(text, span), span)
        case "quoted":
            return Token(Kind.QUOTED, text, text[1:-1], span)
    return Token(Kind.STRING, text, _unescape(text[1:-1], span), span)


def _integer(text: str, span: Span) -> int:
    if len(text) > 18:
        hint = "write it as a double, such as 1e20; an id is text, in double quotes"
        raise LimitError(f"the integer has {len(text)} digits, the limit is 18", span, hint)
    return int(text)


def _unescape(body: str, span: Span) -> str:
    def replace(match: re.Match[str]) -> str:
        code = match.group(1)
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            hint = f"write \\\\{code} for a backslash followed by {code}, as regular expressions need"
            raise TokenError(f"unknown escape \\{code} in a string", span, hint)
        return _ESCAPES[code]

    text = _ESCAPE.sub(replace, body)
    if _SURROGATE.search(text):
        # Characters beyond U+FFFF are escaped as pairs, as in JSON.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if "\ufffd" in text and "\ufffd" not in body:
            hint = "write both halves, such as \\\\ud83d\\\\ude00, or the character itself"
            raise TokenError("half of a surrogate pair in a string", span, hint)
    return text


def _unreadable(text: str, position: int) -> TokenError:
    rest = Span(position, len(text))
    match text[position]:
        case '"':
            return TokenError("the string is not closed", rest, 'end it with "')
        case "`":
            return TokenError("the quoted name is not closed", rest, "end it with ` on the same line")
    return mistakes.character(text[position], Span(position, position + 1))
