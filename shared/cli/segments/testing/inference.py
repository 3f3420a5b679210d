"""Types out of the steps of a test file, and its values as the engine takes them."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.kernel.clock import format_instant, parse_instant
from shared.pql import ANY, Schema, Type

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND = timedelta(microseconds=1)


def plain(value: Any) -> Any:
    """A value as JSON has it: instants become ISO 8601 texts."""
    if isinstance(value, datetime):
        return format_instant((value - _EPOCH) // _MICROSECOND)
    if isinstance(value, dict):
        return {name: plain(child) for name, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value


def infer_schema(profiles: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> Schema:
    """The schema of what the steps show. Paths they do not show are allowed and may be of any type.

    A test may well ask about attributes that none of its profiles has, so an unknown path cannot be an error here.
    """
    schema = Schema.infer([_quoted(one) for one in profiles], [_quoted(one) for one in events])
    return Schema(_opened(schema.profile), _opened(schema.event))


def _quoted(value: Any) -> Any:
    """Replace quoted texts in the form of an instant by a value of no type that inference knows."""
    if isinstance(value, str):
        return object() if _INSTANT.match(value) and _is_instant(value) else value
    if isinstance(value, Mapping):
        return {name: _quoted(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_quoted(child) for child in value]
    return value


def _is_instant(text: str) -> bool:
    try:
        parse_instant(text)
    except ValueError:
        return False
    return True


def _opened(type_: Type) -> Type:
    """The type with every object open; what was always null may be anything."""
    if type_.kind == "null":
        return ANY
    item = _opened(type_.item) if type_.item is not None else None
    fields = {name: _opened(child) for name, child in type_.fields.items()}
    return Type(type_.kind, item, fields, open=type_.kind == "object")
