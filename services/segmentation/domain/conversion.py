"""Expressions between their two notations, `pql/text` and `pql/json`."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from shared import pql

Format = Literal["pql/text", "pql/json"]


def to_text(format_: Format, value: str | Mapping[str, Any]) -> str:
    """Returns an expression as text. A `pql/json` tree may be an object or, as in the reference, an object as text.

    Raises PqlError when the value is not of the named format; a TreeError points to the part of the tree.
    """
    if format_ == "pql/text":
        if not isinstance(value, str):
            raise pql.ParseError("a pql/text expression is text, found an object; did you mean format pql/json?")
        return value
    return pql.print_query(pql.from_json(_tree(value)))


def to_tree(text: str) -> dict[str, Any]:
    """Returns the `pql/json` tree of an expression. Raises PqlError with line and column."""
    return pql.to_json(pql.parse(text))


def _tree(value: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise pql.ParseError(f"the pql/json expression is not JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise pql.ParseError(f"a pql/json expression is an object, found {type(value).__name__}")
    return value
