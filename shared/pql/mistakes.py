"""What people write who come from SQL, JavaScript or a spreadsheet, and what to write instead.

Looks at tokens only, and only once something has been refused: nothing here decides what is valid.
"""

import unicodedata
from collections.abc import Sequence
from typing import Protocol

from shared.pql.errors import Span, TokenError, did_you_mean

_OPERATORS = {
    **dict.fromkeys(("==", "==="), "="),
    **dict.fromkeys(("<>", "!==", "\u2260"), "!="),
    "\u2265": ">=",
    "\u2264": "<=",
    **dict.fromkeys(("&", "&&"), "and"),
    **dict.fromkeys(("|", "||"), "or"),
}
_ABBREVIATIONS = {
    "ms": "milliseconds",
    **dict.fromkeys(("s", "sec", "secs"), "seconds"),
    **dict.fromkeys(("m", "min", "mins"), "minutes"),
    **dict.fromkeys(("h", "hr", "hrs"), "hours"),
    "d": "days",
    "w": "weeks",
    **dict.fromkeys(("mo", "mon", "mth"), "months"),
    **dict.fromkeys(("y", "yr", "yrs"), "years"),
}
_QUOTES = "'\u2018\u2019\u201a\u201c\u201d\u201e\xab\xbb"
_WORDS = ("and", "or", "in", "notIn", "like", "occurs")
_CLOSING = {")": "(", "]": "[", "}": "{"}
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
LISTED = "lists are written in square brackets: `[a, b]`"
JOIN = "join conditions with `and` or `or`"
QUANTIFIER = 'write `exists E from xEvent where E.eventType = ".."`'
CHAIN = 'write `chain(xEvent, timestamp, [A: WHAT(eventType = "..") WHEN(today), B: WHAT(..) WITHIN(1 hour)])`'
WINDOW = "write `<= 7 days before now`, `today`, `between A and B`, `before X` or `after X`"
CONDITION = 'write a condition, such as `homeAddress.city = "Seoul"` or `xEvent.count() > 1`'
_FORMS = {
    "if": 'write `if(condition, value, other)`, for example `if(age > 60, "senior", "other")`',
    "case": 'write `if(condition, value, other)`, for example `if(age > 60, "senior", "other")`',
    "select": 'write `select E from xEvent where E.eventType = ".."`',
    "exists": QUANTIFIER,
    "forall": 'write `forall E from xEvent where E.eventType = ".." : E.price > 20`',
    "let": "write `let name = value in condition`",
}
_FUNCTIONS = {
    **dict.fromkeys(("upper", "lower", "toUpperCase", "toLowerCase", "ucase", "lcase"), '`.equals("..", false)`'),
    **dict.fromkeys(("len", "length", "size"), "`.count()` for arrays; the length of a text is not part of PQL"),
    **dict.fromkeys(("coalesce", "ifnull", "nvl"), "`if(x.isNull(), other, x)`"),
    **dict.fromkeys(
        ("concat", "substring", "substr", "trim", "replace", "split"), "`.regexGroup(..)` or `.matches(..)`"
    ),
    **dict.fromkeys(("avg", "mean"), "`xEvent.average(path)`"),
    **dict.fromkeys(("datediff", "timestampdiff", "dateadd"), "`now - memberSince > 3 days`, or `occurs`"),
    **dict.fromkeys(("any", "some"), "`xEvent.exists(condition)`"),
    **dict.fromkeys(("all", "every"), "`xEvent.forall(condition)`"),
    **dict.fromkeys(("segment", "audience", "inAudience"), '`inSegment("id")`'),
    "between": "`x >= 1 and x <= 5`",
    "within": "`timestamp occurs <= 7 days before now`",
}


class Shown(Protocol):
    """A token, as far as it is looked at here."""

    @property
    def text(self) -> str: ...
    @property
    def span(self) -> Span: ...


def foreign(text: str, span: Span) -> TokenError:
    """The error for a word of another language."""
    if text in _OPERATORS:
        return TokenError(f"`{text}` is no operator of this language", span, f"write `{_OPERATORS[text]}`")
    if text == "/*":
        return TokenError("the comment is not closed", span, "end it with */")
    if text == ";":
        return TokenError("unexpected `;`: an expression has no end mark", span, "remove it")
    if text[:1].isdigit():
        year, month, day = text[:10].split("-")
        hint = f'write `date({year}, {int(month)}, {int(day)})`, or the text "{text}" in double quotes'
        return TokenError(f"`{text}` is no date here, but a subtraction", span, hint)
    return TokenError("strings are written in double quotes", span, f'write "{text[1:-1]}"')


def character(found: str, span: Span) -> TokenError:
    """The error for a character that begins no token."""
    if found in _QUOTES:
        return TokenError("strings are written in double quotes", span, 'write ".." on one line')
    if found == "#":
        return TokenError("unexpected character '#'", span, "comments begin with // or stand in /* .. */")
    if not found.isprintable():
        name = unicodedata.name(
            found, "half a surrogate pair" if "\ud800" <= found <= "\udfff" else "a control character"
        )
        message = f"unexpected invisible character U+{ord(found):04X} ({name})"
        return TokenError(message, span, "remove it; it may have come with copied text")
    hint = "names with other characters than letters, digits and _ stand in backticks: `odd-name`"
    return TokenError(f"unexpected character {found!r}", span, hint)


def leftover(tokens: Sequence[Shown], at: int) -> str:
    """What to do about a token that cannot continue the expression."""
    token, follows = tokens[at], tokens[min(at + 1, len(tokens) - 1)]
    word, before = token.text.lower(), tokens[at - 1].text if at else ""
    path = _path_before(tokens, at)
    match word:
        case "is":
            negated = follows.text.lower() == "not"
            return f"write `{path}.{'isNotNull' if negated else 'isNull'}()`"
        case "not" if follows.text.lower() == "in":
            return f'write `{path} notIn ["a", "b"]`'
        case "not":
            return f"`not` stands before the whole condition: `not ({path} {follows.text} ..)`"
        case "between":
            return f"write `{path} >= .. and {path} <= ..`; instants have `occurs between A and B`"
        case ")" | "]" | "}":
            return f"remove it, or open it before with `{_CLOSING[word]}`"
        case ",":
            return "remove it; numbers are written without separators: 1000"
        case "where":
            return 'write the condition in brackets: `xEvent[eventType = ".."]`'
        case "over" | "from":
            return "write `sum E.price over E from xEvent where E.price > 1`"
        case "ago" | "times":
            return "remove it" if word == "times" else "write `before now`"
    form = next((w for w in (before.lower(), tokens[0].text.lower()) if w in _FORMS), None)
    if form is not None:
        return _FORMS[form]
    if follows.text == "(" and before in ("]", ")"):
        return f"a method stands after a dot: `.{token.text}(..)`"
    return did_you_mean(token.text, _WORDS) or JOIN


def _path_before(tokens: Sequence[Shown], at: int) -> str:
    """The dotted name that ends before the position, as it was written."""
    start = at - 1
    while start >= 2 and tokens[start - 1].text == ".":
        start -= 2
    return "".join(token.text for token in tokens[max(start, 0) : at])


def operand(tokens: Sequence[Shown], at: int) -> str:
    """What to do where a value is missing."""
    token, before = tokens[at], tokens[at - 1].text if at else ""
    if token.text in _COMPARISONS and before.lower() in ("and", "or", "not"):
        return f"repeat the left side: `x >= 1 {before} x {token.text} ..`"
    if not before:
        return CONDITION if not token.text else f"begin with a value, or remove `{token.text}`"
    if before.lower() == "occurs":
        return WINDOW
    if before in ("=", "!=", "<", "<=", ">", ">="):
        words = "; a name that is also a word of the language stands in backticks" if token.text.isalpha() else ""
        return f"write a value after `{before}`{words}"
    return f"write a value after `{before}`, or remove `{before}`"


def unclosed(tokens: Sequence[Shown], at: int, text: str) -> str | None:
    """The hint for the innermost bracket before the position that nothing ever closes."""
    stack: list[tuple[int, Shown]] = []
    for position, token in enumerate(tokens):
        if token.text in _CLOSING.values():
            stack.append((position, token))
        elif stack and _CLOSING.get(token.text) == stack[-1][1].text:
            stack.pop()
    found = [token for position, token in stack if position < at]
    if not found:
        return None
    opening, start = found[-1].text, found[-1].span.start
    closing = next(mark for mark, opened in _CLOSING.items() if opened == opening)
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    place = f"column {column}" if line == 1 else f"line {line}, column {column}"
    return f"the `{opening}` at {place} is not closed: end it with `{closing}`"


def unit(word: str) -> str | None:
    """The unit of time an abbreviation stands for."""
    known = _ABBREVIATIONS.get(word.lower())
    return f"write `{known}`" if known else None


def count(token: Shown, unit_word: str) -> str:
    """What to write instead of a count that is no whole number."""
    if token.text == "-":
        return "a distance has no sign; `before` and `after` say the direction"
    if token.text[:1].isdigit():
        return f"use whole numbers of a smaller unit than `{unit_word}`: `90 minutes` for `1.5 hours`"
    return "write a whole number and a unit, such as `7 days`"


def function(name: str) -> str | None:
    """What to write instead of a function that other languages have."""
    found = _FUNCTIONS.get(name) or _FUNCTIONS.get(name.lower())
    return f"write {found}" if found else None


def aggregate(name: str) -> str:
    """How an aggregate is written that stood like a function."""
    if name == "count":
        return "write `xEvent.count()`, or `count E over E from xEvent where ..`"
    return f"write `xEvent.{name}(path)`, or `{name} E.path over E from xEvent where ..`"
