"""The definitions a demo runs with: segments from `.pql` files, features and training parameters from TOML.

All are read and compiled before anything is started, so that a mistake costs no waiting.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deploy.demo.errors import UsageError
from services.ingestion.adapters.schemas import builtin_schemas
from shared import pql

FEATURE_SET = "propensity"
MODEL = "propensity"

_HERE = Path(__file__).parent
_NAME_HINT = "letters, digits, '_', '-' and '.', beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment: the file's stem is its name and its id."""

    name: str
    text: str
    path: Path

    @property
    def description(self) -> str:
        """The comment on the first line, if there is one."""
        first = self.text.lstrip().splitlines()[0]
        return first.removeprefix("//").strip() if first.startswith("//") else ""


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """Features by name in order, and parameters of the training run."""

    features: Mapping[str, str]
    parameters: Mapping[str, Any]


def shipped_segments(source: str) -> Path:
    """The folder of segments that the demo of a source uses."""
    return _HERE / "segments" / source


def schema_of(source: str, kind: Literal["events", "profiles"]) -> dict[str, Any]:
    """The JSON Schema of a source's events, or of the profile records."""
    name = f"{source}-events" if kind == "events" else "profiles"
    schema: dict[str, Any] = json.loads((_HERE / "schemas" / f"{name}.json").read_text())
    return schema


def union_schema(source: str) -> pql.Schema:
    """The union schema as ingestion will give it, once the source's schemas are registered."""
    halves: dict[str, list[Any]] = {
        "profile": [schema_of(source, "profiles")],
        "event": [schema_of(source, "events")],
    }
    for schema in builtin_schemas():
        halves[schema.kind].append(schema.document)
    return pql.Schema.from_json_schema({"properties": {kind: {"allOf": some} for kind, some in halves.items()}})


def load_segments(folder: Path, schema: pql.Schema) -> list[SegmentFile]:
    """Reads and compiles all `.pql` files of a folder, in an order in which what is referred to comes first.

    Raises UsageError with the language's own message and the file's name.
    """
    if not folder.is_dir():
        raise UsageError(f"SEGMENTS={folder} is not a folder")
    files = [SegmentFile(path.stem, _text(path), path) for path in sorted(folder.glob("*.pql"))]
    if not files:
        raise UsageError(f"SEGMENTS={folder} holds no .pql files; each is one segment, named after its file")
    specs = [_compiled(file, schema) for file in files]
    try:
        plan = pql.build_plan(specs)
    except pql.PqlError as error:
        raise UsageError(f"the segments of {folder} do not go together: {error}") from error
    by_name = {file.name: file for file in files}
    return [by_name[segment.spec.id] for segment in plan.segments]


def load_recipe(source: str, conversion: str) -> ModelRecipe:
    """Reads the features and training parameters shipped for a source."""
    content = tomllib.loads((_HERE / "features" / f"{source}.toml").read_text())
    parameters = {"feature_set": FEATURE_SET, "label_event_type": conversion, **content["training"]}
    return ModelRecipe(content["features"], parameters)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _compiled(file: SegmentFile, schema: pql.Schema) -> pql.SegmentSpec:
    if not file.name[0].isalnum() or not all(char.isalnum() or char in "_.-" for char in file.name):
        raise UsageError(f"{file.path.name}: the name of a segment consists of {_NAME_HINT}")
    try:
        expression = pql.compile_segment(file.text, schema)
    except pql.PqlError as error:
        raise UsageError(f"{file.path}: {error}") from error
    return pql.SegmentSpec(file.name, 1, expression, file.name)


def names(segments: Sequence[SegmentFile]) -> list[str]:
    """The names, sorted as people expect to find them."""
    return sorted(segment.name for segment in segments)
