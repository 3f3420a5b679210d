"""The format of test files: YAML in, checked steps out. Whatever is unknown is refused with its line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from shared.cli.segments.definitions import Definition, load_schema, read_definitions
from shared.cli.segments.located import Document, Entry, read_document
from shared.cli.segments.testing.inference import infer_schema
from shared.cli.segments.testing.reading import Reader
from shared.cli.segments.testing.steps import (
    DefineStep,
    EventStep,
    ExpectErrorStep,
    ExpectMembersStep,
    ExpectProfileStep,
    ProfileStep,
    Step,
    TestFile,
    TransitionsStep,
)
from shared.kernel.clock import parse_instant
from shared.pql import Schema

START = "2026-01-01T00:00:00Z"
"""Where the clock of a file that names none begins."""

_KEYS = ("clock", "schema", "segments", "features", "steps")


def read_test_file(path: Path, name: str | None = None) -> TestFile:
    """Read one test file. Raises WrongInput naming file, line and column."""
    document = read_document(path, name)
    return _File(document, path.parent).read()


class _File:
    def __init__(self, document: Document, folder: Path) -> None:
        self.document = document
        self.folder = folder

    def read(self) -> TestFile:
        document = self.document
        top = Reader(document).known(document.root, "the file", _KEYS)
        segments = self._definitions(top, "segments")
        features = self._definitions(top, "features")
        reader = Reader(document)
        steps = [reader.step(node) for node in document.items(top["steps"].node, "steps")] if "steps" in top else []
        self._refuse_unknown_names(steps, reader, segments, features)
        schema = self._schema(top["schema"].node) if "schema" in top else infer_schema(*_samples(steps))
        clock = self._clock(top["clock"].node) if "clock" in top else parse_instant(START)
        return TestFile(document.name, clock, schema, segments, features, steps)

    def _definitions(self, top: Mapping[str, Entry], key: str) -> dict[str, Definition]:
        return read_definitions(self.document, top[key].node, key) if key in top else {}

    def _clock(self, node: yaml.Node) -> int:
        text = self.document.text_of(node, "`clock`")
        try:
            return parse_instant(text)
        except ValueError:
            self.document.fail(node, f"`clock` is an instant such as {START}, found `{text}`")

    def _schema(self, node: yaml.Node) -> Schema:
        if isinstance(node, yaml.MappingNode):
            return Schema.from_json_schema(self.document.value(node))
        path = self.folder / self.document.text_of(node, "`schema`")
        if not path.is_file():
            self.document.fail(node, f"the schema {path} does not exist")
        return load_schema(path)

    def _refuse_unknown_names(
        self,
        steps: Iterable[Step],
        reader: Reader,
        segments: Mapping[str, Definition],
        features: Mapping[str, Definition],
    ) -> None:
        """A typing slip in an expectation would otherwise pass as a segment without members."""
        known = {"segment": set(segments), "feature": set(features)}
        for step in steps:
            inner = step.step if isinstance(step, ExpectErrorStep) else step
            if isinstance(inner, DefineStep):
                known["feature" if inner.features else "segment"].update(inner.definitions)
        for what, name, node in reader.references:
            if name not in known[what]:
                self.document.fail(node, f"no {what} `{name}` is defined in this file{_near(name, known[what])}")


def _near(name: str, known: Iterable[str]) -> str:
    names = ", ".join(sorted(known))
    return f"; it defines {names}" if names else f"; define `{name}` first"


def _samples(steps: Iterable[Step]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The bodies of all records and of all events, also those that are to be refused."""
    profiles: list[Mapping[str, Any]] = []
    events: list[Mapping[str, Any]] = []
    for step in steps:
        inner = step.step if isinstance(step, ExpectErrorStep) else step
        if isinstance(inner, ProfileStep):
            profiles.append(inner.body)
        elif isinstance(inner, EventStep):
            events.append(inner.body)
    return profiles, events


def is_expectation(step: Step) -> bool:
    """Tell whether a step checks something rather than doing something."""
    return isinstance(step, ExpectMembersStep | ExpectProfileStep | ExpectErrorStep | TransitionsStep)
