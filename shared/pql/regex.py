"""Regular expressions: RE2 only, whose matching time is linear in the text whatever the pattern."""

import re2

from shared.pql.errors import CheckError, LimitError, Span

REGEX_CHARACTERS_MAX = 1_000
_LONG = "join several patterns with `or`, or keep a list and ask inList(..)"


def like_regex(text: str) -> str:
    """The regular expression of a LIKE pattern: `%` is any run, `_` any one character, the rest itself."""
    parts = {"%": "(?s:.*)", "_": "(?s:.)"}
    return "^" + "".join(parts.get(character) or re2.escape(character) for character in text) + "$"


def pattern(text: str, span: Span) -> "re2._Regexp[str]":
    """Compile a pattern; raises CheckError at `span` if RE2 does not take it."""
    if len(text) > REGEX_CHARACTERS_MAX:
        raise LimitError(f"the pattern has {len(text)} characters, the limit is {REGEX_CHARACTERS_MAX}", span, _LONG)
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        hint = "RE2 has no look-around and no back-references"
        if "(?" not in text and "\\" not in text:
            hint = (
                'write \\\\ before a character that stands for itself, as in "\\\\["; `.contains(..)` needs no pattern'
            )
        raise CheckError(f"the pattern is not a valid RE2 regular expression: {reason}", span, hint) from None
