"""Typing rules of the text functions. Regular expressions must be written out and compile under RE2."""

from shared.pql.check_values import compare, literal
from shared.pql.core import Apply, Const, Core
from shared.pql.errors import CheckError, Span
from shared.pql.functions import usage
from shared.pql.regex import like_regex, pattern
from shared.pql.types import BOOLEAN, STRING

_FLAGGED = {
    "startsWith": "startsWith",
    "doesNotStartWith": "startsWith",
    "endsWith": "endsWith",
    "doesNotEndWith": "endsWith",
    "contains": "contains",
    "doesNotContain": "contains",
    "equals": "equals",
    "notEqualTo": "equals",
}
_NEGATED = frozenset({"doesNotStartWith", "doesNotEndWith", "doesNotContain", "notEqualTo"})


def handles(name: str) -> bool:
    """Tell whether the function is one of text."""
    return name in _FLAGGED or name in ("like", "matches", "regexGroup")


def lower(name: str, arguments: tuple[Core, ...], span: Span) -> Core:
    """The typed tree of a text function."""
    if name in ("equals", "notEqualTo") and len(arguments) == 2 and not arguments[0].type.accepts("string"):
        return compare("=" if name == "equals" else "!=", arguments[0], arguments[1], span)
    for argument in arguments[:2]:
        scalar = argument.type.item if argument.type.kind == "array" and argument.type.item else argument.type
        if not scalar.accepts("string"):
            hint = "compare numbers with `=`, `<` or `in [1, 2]`" if scalar.is_numeric else usage_of_text(name)
            raise CheckError(f"`{name}` needs text, found {argument.type}", argument.span, hint)
    if name == "like":
        pattern(like_regex(literal(arguments[1], name)), arguments[1].span)
        return Apply("like", arguments, type=BOOLEAN, span=span)
    if name in ("matches", "regexGroup"):
        return _regex(name, arguments, span)
    folded = len(arguments) == 3 and not _flag(arguments[2])
    operation = _FLAGGED[name] + ("Folded" if folded else "")
    negated = name in _NEGATED
    return Apply(f"{operation}{'Not' if negated else ''}", arguments[:2], type=BOOLEAN, span=span)


def usage_of_text(name: str) -> str:
    """How a text operation is written."""
    return 'write `x like "Se%"`' if name == "like" else usage(name)


def _flag(argument: Core) -> bool:
    if isinstance(argument, Const) and isinstance(argument.value, bool):
        return argument.value
    message = "the case flag must be `true` (exact) or `false` (any case)"
    raise CheckError(message, argument.span, 'write `.equals("text", false)`')


def _regex(name: str, arguments: tuple[Core, ...], span: Span) -> Core:
    compiled = pattern(literal(arguments[1], name), arguments[1].span)
    if name == "matches":
        return Apply("matches", arguments, type=BOOLEAN, span=span)
    group = arguments[2]
    if not (isinstance(group, Const) and type(group.value) is int and 0 <= group.value <= compiled.groups):
        message = f"the group must be a whole number from 0 to {compiled.groups}, the groups of this pattern"
        hint = 'put the part you want in parentheses: `.regexGroup("@(.+)", 1)`; 0 is the whole match'
        raise CheckError(message, group.span, hint)
    return Apply("regexGroup", arguments, type=STRING, span=span)
