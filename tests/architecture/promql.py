"""Reads which metrics and labels a PromQL expression asks for; just enough of the language for our own files."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s+|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<duration>\d+(?:ms|[smhdwy]))
    |(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],:@])""",
    re.VERBOSE,
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})
_AFTER_A_FUNCTION = frozenset({"(", "by", "without"})
_PAIRS = {"(": ")", "{": "}", "[": "]"}


@dataclass(frozen=True)
class Selector:
    """One time series selector: its name (a regular expression) and its matchers by label."""

    name: str
    matchers: dict[str, str] = field(default_factory=dict)

    def names_among(self, known: Iterable[str]) -> set[str]:
        """Returns the names of `known` that the selector selects."""
        return {name for name in known if re.fullmatch(self.name, name)}


@dataclass(frozen=True)
class Expression:
    """What an expression selects, and the labels that it groups or matches by."""

    selectors: tuple[Selector, ...]
    grouped_by: frozenset[str]


def read(text: str) -> Expression:
    """Returns the selectors of `text`. Raises ValueError, with the place, for what is not PromQL."""
    tokens = _tokens(text)
    _refuse_unbalanced(text, tokens)
    selectors: list[Selector] = []
    grouped: set[str] = set()
    place = 0
    while place < len(tokens):
        token = tokens[place]
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        if token in _GROUPING:
            end = tokens.index(")", place)
            grouped |= {name for name in tokens[place + 2 : end] if name != ","}
            place = end
        elif token == "{":
            end = tokens.index("}", place)
            selectors.append(_selector("", tokens[place + 1 : end]))
            place = end
        elif _is_name(token) and token not in _WORDS and following not in _AFTER_A_FUNCTION:
            end = tokens.index("}", place) if following == "{" else place
            selectors.append(_selector(token, tokens[place + 2 : end]))
            place = end
        place += 1
    return Expression(tuple(selectors), frozenset(grouped))


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not PromQL at character {at} of {text!r}: {text[at : at + 12]!r}")
        if found.lastgroup is not None:
            tokens.append(found.group())
        at = found.end()
    return tokens


def _refuse_unbalanced(text: str, tokens: Sequence[str]) -> None:
    open_pairs: list[str] = []
    for token in tokens:
        if token in _PAIRS:
            open_pairs.append(_PAIRS[token])
        elif token in _PAIRS.values() and (not open_pairs or open_pairs.pop() != token):
            raise ValueError(f"{token!r} closes nothing in {text!r}")
    if open_pairs:
        raise ValueError(f"{open_pairs[-1]!r} is missing in {text!r}")


def _selector(name: str, inside: Sequence[str]) -> Selector:
    matchers: dict[str, str] = {}
    for label, _, value in zip(inside[0::4], inside[1::4], inside[2::4], strict=True):
        matchers[label] = value[1:-1]
    chosen = matchers.pop("__name__", None)
    return Selector(re.escape(name) if chosen is None else chosen, matchers)


def _is_name(token: str) -> bool:
    return token[0].isalpha() or token[0] == "_"
