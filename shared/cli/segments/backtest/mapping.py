"""Mapping files: which column of a row is what of an event."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shared.cli.segments.backtest.events import Happening
from shared.cli.segments.backtest.reading import FORMATS, Layout, Row
from shared.cli.segments.backtest.values import Take, identity_of, instant_reader, path_of, plain, value_of
from shared.cli.segments.errors import WrongInput
from shared.cli.segments.located import Document, read_document

SHIPPED = Path(__file__).parents[2] / "mappings"
SOURCES = ("ga4", "luma")
_KEYS = ("source", "format", "columns", "delimiter", "profile", "time", "type", "id", "fields", "keep")

_PROFILE, _TIME, _TYPE = path_of("profile_id"), path_of("timestamp"), path_of("eventType")
_READ_INSTANT = instant_reader(None)


@dataclass(frozen=True, slots=True)
class EventMapping:
    """How rows become events, or the name of a `source` that knows by itself."""

    name: str
    layout: Layout = field(default_factory=Layout)
    source: str | None = None
    profile: Take = _PROFILE
    at: Take = _TIME
    type: Take = _TYPE
    ids: tuple[Take, ...] = ()
    fields: tuple[tuple[tuple[str, ...], Take], ...] = ()
    keep: bool = True
    read_instant: Callable[[Any], int] = _READ_INSTANT

    def happening(self, row: Row, number: int, where: str) -> Happening | None:
        """The event of a row; None for a row without a profile. Raises WrongInput naming the row."""
        try:
            profile = self.profile(row, number)
            if profile is None or profile == "":
                return None
            at = self.at(row, number)
            if at is None:
                raise ValueError("the row has no time")
            ids = [str(take(row, number)) for take in self.ids]
            id_ = "\x1f".join(ids) if ids else where
            return Happening(
                self.read_instant(at), str(profile), id_, str(self.type(row, number) or ""), self._body(row, number)
            )
        except (ValueError, OverflowError, AttributeError, TypeError) as error:
            raise WrongInput(f"{where}: the mapping {self.name} does not fit this row: {error}") from error

    def _body(self, row: Row, number: int) -> dict[str, Any]:
        body: dict[str, Any] = without_nulls(row) if self.keep else {}
        for path, take in self.fields:
            value = take(row, number)
            if value is not None:
                node = body
                for name in path[:-1]:
                    node = node.setdefault(name, {})
                node[path[-1]] = plain(value)
        return body


def without_nulls(row: Row) -> dict[str, Any]:
    """The row without nulls, instants as texts."""
    return {name: plain(value) for name, value in row.items() if value is not None}


def xdm_mapping() -> EventMapping:
    """What is assumed without a mapping: XDM ExperienceEvents."""
    named, primary = (path_of("profile_id"), path_of("profileId")), identity_of(None)

    def profile(row: Row, number: int) -> Any:
        return next((id_ for take in named if (id_ := take(row, number)) is not None), None) or primary(row, number)

    def id_(row: Row, number: int) -> Any:
        value = row.get("_id")
        return f"row {number}" if value is None else value

    return EventMapping("of XDM events", profile=profile, ids=(id_,))


def load_mapping(given: str | None, events: Path) -> EventMapping:
    """The mapping asked for: a file, a shipped one by name, or what the events look like. Raises WrongInput."""
    if given is None:
        if events.is_dir():
            if any(events.glob("events_*.parquet*")):
                return EventMapping("ga4", source="ga4")
            if (events / "luma_web.parquet").exists():
                return EventMapping("luma", source="luma")
        return xdm_mapping()
    path = Path(given)
    shipped = SHIPPED / f"{given}.yaml"
    if not path.exists() and "/" not in given and shipped.exists():
        path = shipped
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
        raise WrongInput(f"--mapping {given}: there is no such file; shipped mappings are {names}")
    return _read(read_document(path))


def _read(document: Document) -> EventMapping:
    entries = document.entries(document.root, "a mapping")
    for name, entry in entries.items():
        if name not in _KEYS:
            document.fail(entry.key, f"unknown key `{name}` in a mapping; known are {', '.join(_KEYS)}")
    if "source" in entries:
        source = document.text_of(entries["source"].node, "`source`")
        if source not in SOURCES or len(entries) > 1:
            document.fail(
                entries["source"].node, f"`source` is one of {', '.join(SOURCES)} and stands alone, found `{source}`"
            )
        return EventMapping(document.name, source=source)
    for name in ("profile", "time"):
        if name not in entries:
            document.fail(document.root, f"a mapping says `{name}`")
    nodes = {name: entry.node for name, entry in entries.items()}
    time, read_instant = _time(document, nodes["time"])
    return EventMapping(
        document.name,
        layout=_layout(document, nodes),
        profile=value_of(document, nodes["profile"]),
        at=time,
        read_instant=read_instant,
        type=value_of(document, nodes["type"]) if "type" in nodes else _TYPE,
        ids=tuple(value_of(document, node) for node in document.items(nodes["id"], "`id`")) if "id" in nodes else (),
        fields=tuple(_fields(document, nodes)),
        keep=bool(document.value(nodes["keep"])) if "keep" in nodes else "fields" not in nodes,
    )


def _time(document: Document, node: yaml.Node) -> tuple[Take, Callable[[Any], int]]:
    """The time's value before its unit, and the reader of that unit."""
    unit = None
    if isinstance(node, yaml.MappingNode):
        entries = document.entries(node, "`time`")
        if "unit" in entries:
            unit = document.text_of(entries["unit"].node, "`unit`")
            kept = [(key, value) for key, value in node.value if key.value != "unit"]
            node = yaml.MappingNode(node.tag, kept, node.start_mark, node.end_mark)
    return value_of(document, node), instant_reader(unit)


def _layout(document: Document, nodes: Mapping[str, yaml.Node]) -> Layout:
    format_ = document.text_of(nodes["format"], "`format`") if "format" in nodes else None
    if format_ is not None and format_ not in FORMATS.values():
        document.fail(
            nodes["format"], f"`format` is one of {', '.join(sorted(set(FORMATS.values())))}, found `{format_}`"
        )
    columns = document.items(nodes["columns"], "`columns`") if "columns" in nodes else []
    names = tuple(document.text_of(node, "a column") for node in columns)
    return Layout(format_, names, document.text_of(nodes["delimiter"], "`delimiter`") if "delimiter" in nodes else ",")


def _fields(document: Document, nodes: Mapping[str, yaml.Node]) -> Iterator[tuple[tuple[str, ...], Take]]:
    if "fields" in nodes:
        for name, entry in document.entries(nodes["fields"], "`fields`").items():
            yield tuple(name.split(".")), value_of(document, entry.node)
