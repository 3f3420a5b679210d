"""Values of an event out of a row: a path, or a mapping that says how. See shared/cli/README.md."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import yaml

from shared.cli.segments.backtest.reading import Row
from shared.cli.segments.located import Document
from shared.kernel.clock import format_instant, parse_instant

Take = Callable[[Row, int], Any]
"""A function of a row and its number; raises ValueError for a value that cannot be what it should be."""

_KEYS = ("field", "constant", "row", "identity", "values", "otherwise", "as", "unit", "drop")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}


def value_of(document: Document, node: yaml.Node) -> Take:
    """Read one value of a mapping file. Raises WrongInput."""
    if isinstance(node, yaml.ScalarNode):
        return path_of(document.text_of(node, "a field"))
    entries = document.entries(node, "a value")
    for name, entry in entries.items():
        if name not in _KEYS:
            document.fail(entry.key, f"unknown key `{name}`; known are {', '.join(_KEYS)}")
    said = {name: document.value(entry.node) for name, entry in entries.items()}
    origins = [name for name in ("field", "constant", "row", "identity") if name in said]
    if len(origins) != 1:
        document.fail(
            node, f"a value has one of field, constant, row and identity, found {', '.join(origins) or 'none'}"
        )
    take = _origin(said)
    if "values" in said:
        take = _translated(take, said["values"], said.get("otherwise"))
    if "drop" in said:
        take = _without(take, frozenset(said["drop"]))
    if "unit" in said:
        return _instant(take, str(said["unit"]))
    if "as" in said:
        if said["as"] not in _CASTS:
            document.fail(entries["as"].node, f"`as` is one of {', '.join(_CASTS)}, found `{said['as']}`")
        return _cast(take, _CASTS[said["as"]])
    return take


def path_of(path: str) -> Take:
    """The value at a dotted path; a column whose name is the whole path comes first."""
    names = path.split(".")

    def take(row: Row, number: int) -> Any:
        value: Any = row.get(path)
        if value is None and len(names) > 1:
            value = row
            for name in names:
                value = value.get(name) if isinstance(value, Mapping) else None
        return value

    return take


def _origin(said: Mapping[str, Any]) -> Take:
    if "constant" in said:
        constant = plain(said["constant"])
        return lambda row, number: constant
    if "row" in said:
        return lambda row, number: number
    if "identity" in said:
        return identity_of(None if said["identity"] == "primary" else str(said["identity"]))
    return path_of(str(said["field"]))


def identity_of(namespace: str | None) -> Take:
    """The id in a namespace of the row's identity map, or the primary one (else the first)."""

    def take(row: Row, number: int) -> Any:
        spaces = row.get("identityMap") or {}
        found = [item for space, items in spaces.items() if namespace in (None, space) for item in items or ()]
        chosen = next((item for item in found if item.get("primary")), found[0] if found else {})
        return chosen.get("id")

    return take


def _translated(take: Take, values: Mapping[str, Any], otherwise: Any) -> Take:
    table = {name: plain(value) for name, value in values.items()}

    def translated(row: Row, number: int) -> Any:
        value = take(row, number)
        if value is None:
            return None
        known = table.get(str(value))
        if known is None and isinstance(otherwise, str):
            return otherwise.replace("{value}", str(value))
        return otherwise if known is None else known

    return translated


def _without(take: Take, dropped: frozenset[Any]) -> Take:
    def kept(row: Row, number: int) -> Any:
        value = take(row, number)
        return None if value in dropped else value

    return kept


def _cast(take: Take, cast: Callable[[Any], Any]) -> Take:
    def casted(row: Row, number: int) -> Any:
        value = take(row, number)
        return None if value is None else cast(value)

    return casted


def _instant(take: Take, unit: str) -> Take:
    reader = instant_reader(unit)

    def instant(row: Row, number: int) -> Any:
        value = take(row, number)
        return None if value is None else format_instant(reader(value))

    return instant


def instant_reader(unit: str | None) -> Callable[[Any], int]:
    """A function that reads instants as µs: numbers by `unit`, texts as ISO 8601 or by a pattern with `%`."""

    def read(value: Any) -> int:
        if isinstance(value, datetime):
            return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
        if isinstance(value, date):
            return parse_instant(value.isoformat())
        if unit is not None and "%" in unit:
            # strptime takes UTC here unless the pattern reads an offset.
            moment = datetime.strptime(str(value), unit)  # noqa: DTZ007
            return read(moment)
        if unit in _PER_UNIT:
            return int(value) * _PER_UNIT[unit] if isinstance(value, int | str) else round(value * _PER_UNIT[unit])
        if unit == "ns":
            return int(value) // 1_000
        return value if isinstance(value, int) and not isinstance(value, bool) else parse_instant(str(value))

    return read


def plain(value: Any) -> Any:
    """A value as JSON has it: instants become ISO 8601 texts, in dicts and lists too."""
    if isinstance(value, datetime | date):
        return format_instant(instant_reader(None)(value))
    if isinstance(value, dict):
        return {name: plain(child) for name, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value


def _boolean(value: Any) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in known:
        raise ValueError(f"`{value}` is neither true nor false")
    return known[str(value).lower()]


_CASTS: dict[str, Callable[[Any], Any]] = {
    "number": float,
    "integer": lambda value: int(float(value)) if "." in str(value) else int(value),
    "string": str,
    "boolean": _boolean,
}
