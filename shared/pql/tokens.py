"""Text → tokens. Every token keeps its span, so that every later error can point."""

import re
from dataclasses import dataclass
from enum import Enum

from shared.pql.errors import LimitError, Span, TokenError

TEXT_BYTES_MAX = 64 * 1024


class Kind(Enum):
    """The classes of tokens the parser tells apart."""

    NAME = "name"
    QUOTED = "quoted name"
    STRING = "string"
    INTEGER = "integer"
    DOUBLE = "double"
    SYMBOL = "symbol"
    END = "end of expression"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `value` is the decoded literal for strings and numbers, the text otherwise."""

    kind: Kind
    text: str
    value: str | int | float
    span: Span


_PATTERN = re.compile(
    r"""(?P<space>(?:\s+|//[^\n]*|/\*.*?\*/)+)
      | (?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
      | (?P<integer>\d+)
      | (?P<name>[^\W\d]\w*)
      | (?P<quoted>`[^`\n]+`)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<symbol>=>|!=|>=|<=|[()\[\]{},:.=<>+\-*/%!$^])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "/": "/", "'": "'"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def tokenize(text: str) -> list[Token]:
    """Split the text; the last token is always END. Raises TokenError or LimitError."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > TEXT_BYTES_MAX:
        raise LimitError(f"the expression has {size} bytes, the limit is {TEXT_BYTES_MAX}", Span(0, 1))
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None:
            raise _unreadable(text, position)
        if match.lastgroup != "space":
            tokens.append(_token(match))
        position = match.end()
    tokens.append(Token(Kind.END, "", "", Span(len(text), len(text))))
    return tokens


def _token(match: re.Match[str]) -> Token:
    text, span = match.group(), Span(*match.span())
    match match.lastgroup:
        case "double":
            value = float(text)
            if value in (float("inf"), float("-inf")):
                raise TokenError(f"the number {text} is too large for a double", span)
            return Token(Kind.DOUBLE, text, value, span)
        case "integer":
            return Token(Kind.INTEGER, text, _integer(text, span), span)
        case "name":
            return Token(Kind.NAME, text, text, span)
        case "quoted":
            return Token(Kind.QUOTED, text, text[1:-1], span)
        case "string":
            return Token(Kind.STRING, text, _unescape(text[1:-1], span), span)
        case _:
            return Token(Kind.SYMBOL, text, text, span)


def _integer(text: str, span: Span) -> int:
    if len(text) > 18:
        raise LimitError(f"the integer has {len(text)} digits, the limit is 18", span, "write it as a double")
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

    return _ESCAPE.sub(replace, body)


def _unreadable(text: str, position: int) -> TokenError:
    character = text[position]
    if character == '"':
        return TokenError("the string is not closed", Span(position, len(text)), 'end it with "')
    if character == "'":
        return TokenError("strings are written in double quotes", Span(position, position + 1), 'write "..."')
    hint = "write `and` or `or`" if character in "&|" else None
    return TokenError(f"unexpected character {character!r}", Span(position, position + 1), hint)
