"""What a test file says, read and checked, before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.cli.segments.definitions import Definition
from shared.cli.segments.testing.times import Moment
from shared.pql import Schema


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `line` (from 1) is where it stands."""

    line: int


@dataclass(frozen=True, slots=True)
class EventStep(Step):
    """An event: `at` is event time, `received` arrival. `body` still holds instants as datetimes."""

    profile: str
    type: str
    id: str | None
    at: Moment
    received: Moment
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProfileStep(Step):
    """A record of attributes; `body` holds what is set, and null at the paths that are unset."""

    profile: str
    dataset: str
    received: Moment
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AdvanceStep(Step):
    """Moves the clock forward."""

    to: Moment


@dataclass(frozen=True, slots=True)
class DefineStep(Step):
    """Creates or edits segments, or features."""

    definitions: Mapping[str, Definition]
    features: bool


@dataclass(frozen=True, slots=True)
class RemoveStep(Step):
    """Removes segments."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class MergeStep(Step):
    """Finds out that two profiles are one person."""

    source: str
    into: str


@dataclass(frozen=True, slots=True)
class ListStep(Step):
    """Changes a static list."""

    name: str
    add: Sequence[str]
    remove: Sequence[str]


@dataclass(frozen=True, slots=True)
class ExpectMembersStep(Step):
    """The exact members of segments now."""

    members: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class ExpectProfileStep(Step):
    """What one profile is in, is not in, and what its features are worth now."""

    profile: str
    inside: Sequence[str]
    outside: Sequence[str]
    features: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class ExpectErrorStep(Step):
    """A step that must be refused, with a message that holds `message` if that is given."""

    step: Step
    message: str | None


@dataclass(frozen=True, slots=True)
class ExpectedTransition:
    """A transition; any instant will do where `at` is None."""

    profile: str
    segment: str
    entered: bool
    at: Moment | None


@dataclass(frozen=True, slots=True)
class TransitionsStep(Step):
    """All transitions since the last such step."""

    transitions: Sequence[ExpectedTransition]


@dataclass(frozen=True, slots=True)
class TestFile:
    """A whole test file. `clock` in µs."""

    __test__ = False  # no test of pytest's

    name: str
    clock: int
    schema: Schema
    segments: Mapping[str, Definition]
    features: Mapping[str, Definition]
    steps: Sequence[Step]
