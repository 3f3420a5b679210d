"""Definitions of segments out of files: a folder of `.pql`, one `.pql`, or a YAML file with names and expressions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from shared.cli.segments.errors import WrongInput
from shared.cli.segments.located import Document, Entry, place_in, read_document, reason_of
from shared.pql import (
    Expression,
    FeatureSpec,
    Plan,
    PlanError,
    PqlError,
    Schema,
    SegmentSpec,
    build_plan,
    compile_feature,
    compile_segment,
)

_YAML = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Definition:
    """An expression and where it stands: `node` if it is a scalar of a YAML file, else `file` holds nothing more."""

    name: str
    text: str
    file: str
    node: yaml.Node | None = None

    def place(self, error: PqlError) -> str:
        """Where an error in the expression is, as file:line:column."""
        line, column = error.line, error.column
        if self.node is not None:
            line, column = place_in(self.node, line, column)
        return f"{self.file}:{line}:{column}"

    def located(self, error: PqlError) -> WrongInput:
        """The error with the place in the file in front."""
        rest = str(error).split("\n")[1:]
        return WrongInput(
            "\n".join([f"{self.place(error)}: {error.stage} error in `{self.name}`: {error.message}", *rest])
        )


def load_definitions(path: Path) -> list[Definition]:
    """Load the segments of a folder or file, sorted by name. Raises WrongInput."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix == ".pql")
        if not files:
            raise WrongInput(f"{path} holds no .pql files; name a segment's file after the segment")
        return [_of_text_file(file) for file in files]
    if not path.exists():
        raise WrongInput(f"{path} does not exist; give a folder of .pql files, a .pql file or a YAML file")
    if path.suffix == ".pql":
        return [_of_text_file(path)]
    if path.suffix in _YAML:
        return sorted(_of_yaml(read_document(path)), key=lambda definition: definition.name)
    raise WrongInput(f"{path} is neither a folder of .pql files nor a .pql or .yaml file")


def _of_text_file(path: Path) -> Definition:
    try:
        return Definition(path.stem, path.read_text(encoding="utf-8").rstrip(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInput(f"{path} cannot be read: {reason_of(error)}") from error


def _of_yaml(document: Document) -> Iterable[Definition]:
    """Names and expressions, at the top or below `segments` (so a test file will do)."""
    top = document.entries(document.root, "the file")
    node = top["segments"].node if "segments" in top else document.root
    return read_definitions(document, node, "segments").values()


def read_definitions(document: Document, node: yaml.Node, what: str) -> dict[str, Definition]:
    """Read a mapping of names to expressions."""
    return {
        name: Definition(name, _expression(document, entry), document.name, entry.node)
        for name, entry in document.entries(node, what).items()
    }


def _expression(document: Document, entry: Entry) -> str:
    # Without the last line's end, so that an error at the end points to where one would go on writing.
    return document.text_of(entry.node, f"the expression of `{entry.name}`").rstrip()


def compile_one(definition: Definition, schema: Schema) -> Expression:
    """Compile a segment; raises WrongInput with the place in the file."""
    try:
        return compile_segment(definition.text, schema)
    except PqlError as error:
        raise definition.located(error) from error


def compile_specs(definitions: Iterable[Definition], schema: Schema) -> list[SegmentSpec]:
    """Compile all; raises WrongInput for the first that is wrong."""
    return [SegmentSpec(one.name, 1, compile_one(one, schema)) for one in definitions]


def compile_plan(definitions: Sequence[Definition], schema: Schema) -> Plan:
    """Compile all into a plan; raises WrongInput, also for a cycle of segments."""
    try:
        return build_plan(compile_specs(definitions, schema))
    except PlanError as error:
        files = sorted({definition.file for definition in definitions})
        raise WrongInput(f"{files[0] if len(files) == 1 else Path(files[0]).parent}: {error.message}") from error


def feature_specs(definitions: Mapping[str, Definition], schema: Schema) -> list[FeatureSpec]:
    """Compile features; raises PqlError."""
    return [FeatureSpec(name, compile_feature(one.text, schema)) for name, one in definitions.items()]


def load_schema(path: Path) -> Schema:
    """Read a JSON Schema (or YAML in its shape). Raises WrongInput."""
    document = read_document(path)
    value = document.value(document.root)
    if not isinstance(value, dict):
        raise WrongInput(f"{path}: a JSON Schema is an object with `properties`")
    return Schema.from_json_schema(value)
