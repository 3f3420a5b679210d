"""Text operators. Where the text is an array, one of its items is enough; where it is null, nothing holds."""

from collections.abc import Callable
from typing import Any

Test = Callable[[str, str], bool]


def text_test(test: Test, folded: bool, negated: bool) -> Callable[[Any, Any], bool]:
    """Build the operator: `folded` compares by Unicode full case folding, `negated` still needs both sides known."""

    def judge(value: Any, argument: Any) -> bool:
        if value.__class__ is list:
            return any(judge(item, argument) for item in value)
        if argument.__class__ is list:
            return any(judge(value, item) for item in argument)
        if value.__class__ is not str or argument.__class__ is not str:
            return False
        if folded:
            value, argument = value.casefold(), argument.casefold()
        return test(value, argument) is not negated

    return judge


_TESTS: dict[str, Test] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
    "equals": str.__eq__,
}

TEXT_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    f"{name}{'Folded' if folded else ''}{'Not' if negated else ''}": text_test(test, folded, negated)
    for name, test in _TESTS.items()
    for folded in (False, True)
    for negated in (False, True)
}


def search(pattern: Any, value: Any) -> bool:
    """`matches`: the pattern is found somewhere in the text."""
    if value.__class__ is list:
        return any(search(pattern, item) for item in value)
    return value.__class__ is str and pattern.search(_sound(value)) is not None


def group(pattern: Any, value: Any, number: int) -> str | None:
    """`regexGroup`: the group of the first match; null without one. Of an array, its first item that matches."""
    if value.__class__ is list:
        return next((found for item in value if (found := group(pattern, item, number)) is not None), None)
    if value.__class__ is not str:
        return None
    match = pattern.search(_sound(value))
    found = match.group(number) if match else None
    return found if found.__class__ is str else None


def _sound(value: str) -> str:
    # RE2 works on UTF-8, which lone surrogates do not have; they count as the replacement character.
    return value.encode("utf-8", "replace").decode() if not value.isascii() else value
