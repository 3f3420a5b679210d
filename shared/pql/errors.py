"""What a refused expression says: where, what was expected, and what to write instead.

One class per stage, so that a caller can tell a typing slip (`ParseError`) from a wrong name (`CheckError`) or a limit
(`LimitError`); all are `Rejected`: the same text will never be valid, so do not retry.
"""

import difflib
from collections.abc import Iterable
from typing import Any, NamedTuple

from shared.kernel.errors import Reason, Rejected


class Span(NamedTuple):
    """A half-open range of character offsets into the expression's text."""

    start: int
    end: int


NO_SPAN = Span(0, 0)
_MESSAGE_CHARACTERS_MAX = 400
_EXCERPT_CHARACTERS_MAX = 120


class PqlError(Rejected):
    """An expression that cannot be accepted; `str()` shows the line with the span underlined."""

    stage = "pql"

    def __init__(self, message: str, span: Span = NO_SPAN, hint: str | None = None, text: str = "") -> None:
        # Messages quote the text, and a hostile text may be one word of 64 KiB.
        if len(message) > _MESSAGE_CHARACTERS_MAX:
            message = f"{message[: _MESSAGE_CHARACTERS_MAX // 2]} ... {message[-_MESSAGE_CHARACTERS_MAX // 2 :]}"
        super().__init__(message, Reason.EXPRESSION)
        self.span = span
        self.hint = hint
        self.text = text

    @property
    def line(self) -> int:
        """The 1-based line on which the span starts."""
        return self.text.count("\n", 0, self.span.start) + 1

    @property
    def column(self) -> int:
        """The 1-based column on which the span starts."""
        return self.span.start - (self.text.rfind("\n", 0, self.span.start) + 1) + 1

    def details(self) -> dict[str, Any]:
        return {"stage": self.stage, "line": self.line, "column": self.column, "hint": self.hint}

    def locate(self, text: str) -> "PqlError":
        """Attach the text the span refers to; stages raise without it, the public face adds it."""
        self.text = self.text or text
        return self

    def __str__(self) -> str:
        parts = [f"{self.stage} error at line {self.line}, column {self.column}: {self.message}"]
        if self.text:
            parts.append(self._excerpt())
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n".join(parts)

    def _excerpt(self) -> str:
        start = self.span.start - (self.column - 1)
        end = self.text.find("\n", start)
        line = self.text[start : end if end >= 0 else len(self.text)]
        # A hostile one-line text of 64 KiB must not come back whole in every error.
        left = max(0, self.column - 60) if len(line) > _EXCERPT_CHARACTERS_MAX else 0
        shown = line[left : left + _EXCERPT_CHARACTERS_MAX].replace("\t", " ")
        # Half a surrogate pair cannot be sent to anybody; the mark under it stays in place.
        shown = shown.encode("utf-8", "replace").decode()
        width = max(1, min(self.span.end, start + len(line)) - self.span.start)
        width = min(width, max(1, len(shown) - (self.column - 1 - left)))
        before, after = "…" if left else "", "…" if left + _EXCERPT_CHARACTERS_MAX < len(line) else ""
        return f"  {before}{shown}{after}\n  {' ' * (self.column - 1 - left + len(before))}{'^' * width}"


class TokenError(PqlError):
    """The text holds a character or literal that is no token."""

    stage = "token"


class ParseError(PqlError):
    """The tokens do not form an expression."""

    stage = "syntax"


class TreeError(ParseError):
    """A `pql/json` tree has a part that does not fit where it stands; `pointer` is its JSON pointer (RFC 6901)."""

    stage = "tree"

    def __init__(self, message: str, pointer: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.pointer = pointer

    def details(self) -> dict[str, Any]:
        return {"stage": self.stage, "pointer": self.pointer, "hint": self.hint}

    def __str__(self) -> str:
        place = f'at "{self.pointer}"' if self.pointer else "at the root"
        return "\n".join(
            [f"{self.stage} error {place}: {self.message}", *([f"hint: {self.hint}"] if self.hint else [])]
        )


class CheckError(PqlError):
    """A name, type or argument does not fit the schema or the function."""

    stage = "check"


class LimitError(PqlError):
    """The expression exceeds a limit; the message holds the figure and the limit."""

    stage = "limit"


class PlanError(PqlError):
    """The expression is well formed but cannot join the plan (for example a cycle of segments)."""

    stage = "plan"


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint naming the closest known name, or None when nothing is close."""
    folded = {candidate.lower(): candidate for candidate in sorted(known)}
    close = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    return f"did you mean `{folded[close[0]]}`?" if close else None
