"""YAML whose every value knows its place in the file, so that errors can name the line.

Scalars follow JSON where YAML 1.1 surprises: `no` and `0123` are texts, `1e3` is a number. A scalar in the form of an
ISO 8601 instant without quotes is a datetime.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import yaml

from shared.cli.segments.errors import WrongInput

_DEPTH_MAX = 64
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """A safe loader with the scalars of JSON, and instants."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own name)


def _instant(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> datetime:
    moment = datetime.fromisoformat(node.value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("timestamp", r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|z|[-+]\d\d(:?\d\d)?)?)?", "0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
)
for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        _TAG + _name, re.compile(f"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )
_Loader.add_constructor(_TAG + "timestamp", _instant)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping with the nodes of key and value."""

    name: str
    key: yaml.Node
    node: yaml.Node


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document. `name` is the file as the user named it."""

    name: str
    text: str
    root: yaml.Node
    loader: _Loader

    def fail(self, node: yaml.Node, message: str) -> NoReturn:
        """Refuse the file at a node."""
        raise WrongInput(f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: {message}")

    def is_null(self, node: yaml.Node) -> bool:
        """Tell whether nothing was written, or null."""
        return bool(node.tag == _TAG + "null")

    def entries(self, node: yaml.Node, what: str) -> dict[str, Entry]:
        """The entries of a mapping by key; nothing counts as an empty mapping, a key given twice is refused."""
        if self.is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.fail(node, f"{what} is a mapping, found {_kind(node)}")
        self.loader.flatten_mapping(node)
        found: dict[str, Entry] = {}
        for key, value in node.value:
            name = self.text_of(key, "a key")
            if name in found:
                self.fail(key, f"`{name}` is given twice in {what}")
            found[name] = Entry(name, key, value)
        return found

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """The items of a list; nothing counts as an empty one."""
        if self.is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.fail(node, f"{what} is a list, found {_kind(node)}")
        return list(node.value)

    def text_of(self, node: yaml.Node, what: str) -> str:
        """A scalar as it was written, so that an id like 007 stays what it is."""
        if not isinstance(node, yaml.ScalarNode) or self.is_null(node):
            self.fail(node, f"{what} is a text, found {_kind(node)}")
        return str(node.value)

    def value(self, node: yaml.Node, depth: int = 0) -> Any:
        """Any value; mappings become dicts with text keys, instants without quotes become datetimes."""
        if depth > _DEPTH_MAX:
            self.fail(node, f"values are nested deeper than {_DEPTH_MAX}")
        if isinstance(node, yaml.MappingNode):
            entries = self.entries(node, "a value")
            return {name: self.value(entry.node, depth + 1) for name, entry in entries.items()}
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
            self.fail(node, f"`{node.value}` cannot be read: {reason}")


def read_document(path: Path, name: str | None = None) -> Document:
    """Read a file with one YAML document. Raises WrongInput."""
    name = name or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInput(f"{name} cannot be read: {reason_of(error)}") from error
    return parse_document(text, name)


def parse_document(text: str, name: str) -> Document:
    """Parse a text with one YAML document. Raises WrongInput."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise WrongInput(f"{name}{place}: this is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise WrongInput(f"{name}: this is no YAML: {' '.join(str(error).split())}") from error
    if root is None:
        raise WrongInput(f"{name}:1:1: the file is empty")
    return Document(name, text, root, loader)


def place_in(node: yaml.Node, line: int, column: int) -> tuple[int, int]:
    """Line and column in the file (from 1) of a place inside a scalar's text (from 1).

    Exact for block scalars and for texts on one line without escapes, at worst the line of the scalar's beginning.
    """
    mark = node.start_mark
    if getattr(node, "style", None) in ("|", ">"):
        body = _lines(mark.buffer, mark.pointer)
        next(body, "")
        indent = 0
        for text in body:
            if text.strip():
                indent = len(text) - len(text.lstrip(" "))
                break
        return mark.line + 1 + line, indent + column
    quoted = getattr(node, "style", None) in ("'", '"')
    return (mark.line + 1, mark.column + quoted + column) if line == 1 else (mark.line + line, column)


def _lines(buffer: str | None, pointer: int) -> Iterator[str]:
    return iter((buffer or "")[pointer:].replace("\0", "").split("\n"))


def reason_of(error: BaseException) -> str:
    """Why a file could not be read, in few words."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "nothing" if node.tag == _TAG + "null" else f"`{node.value}`"
