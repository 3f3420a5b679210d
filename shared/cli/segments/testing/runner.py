"""Runs a test file step by step and collects every expectation that failed."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared import pql
from shared.cli.segments.definitions import Definition
from shared.cli.segments.errors import WrongInput
from shared.cli.segments.testing.format import is_expectation
from shared.cli.segments.testing.inference import plain
from shared.cli.segments.testing.steps import (
    AdvanceStep,
    DefineStep,
    EventStep,
    ExpectErrorStep,
    ExpectMembersStep,
    ExpectProfileStep,
    ListStep,
    MergeStep,
    ProfileStep,
    RemoveStep,
    Step,
    TestFile,
    TransitionsStep,
)
from shared.cli.segments.testing.world import World
from shared.kernel.clock import format_instant
from shared.kernel.errors import Rejected

_WHY_MAX = 2
"""Profiles per expectation of which the evaluated tree is shown."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that did not hold: `line` of the file, the clock's `at` (µs), and the differences in words."""

    line: int
    at: int
    kind: str
    differences: Sequence[str]


@dataclass(slots=True)
class Result:
    """What came of one file."""

    name: str
    steps: int = 0
    expectations: int = 0
    failures: list[Failure] = field(default_factory=list)


def run_test_file(test: TestFile) -> Result:
    """Run all steps; raises WrongInput where a step that does something is refused."""
    return _Run(test).run()


class _Run:
    def __init__(self, test: TestFile) -> None:
        self.test = test
        self.world = World(test.clock, test.schema)
        self.result = Result(test.name)

    def run(self) -> Result:
        self._define(self.test.segments, features=False)
        self._define(self.test.features, features=True)
        for number, step in enumerate(self.test.steps, start=1):
            self.result.steps += 1
            if not is_expectation(step):
                self._do_or_refuse(step, number)
                continue
            self.result.expectations += 1
            differences = self._differences(step, number)
            if differences:
                kind = type(step).__name__.removesuffix("Step")
                self.result.failures.append(Failure(step.line, self.world.clock, _KINDS[kind], differences))
        return self.result

    def _define(self, definitions: Mapping[str, Definition], *, features: bool) -> None:
        try:
            (self.world.define_features if features else self.world.define)(definitions)
        except pql.PqlError as error:
            raise located(self.test.name, definitions, error) from error

    def _do_or_refuse(self, step: Step, number: int) -> None:
        try:
            self._do(step, number)
        except pql.PqlError as error:
            definitions = step.definitions if isinstance(step, DefineStep) else {}
            raise located(f"{self.test.name}:{step.line}", definitions, error) from error
        except Rejected as error:
            raise WrongInput(f"{self.test.name}:{step.line}: {error.message}") from error

    def _do(self, step: Step, number: int) -> None:
        world, clock = self.world, self.world.clock
        match step:
            case EventStep():
                id_ = step.id if step.id is not None else f"step {number}"
                event = pql.Event(id_, step.at.at(clock), step.type, plain(step.body))
                world.event(step.profile, event, step.received.at(clock))
            case ProfileStep():
                world.record(step.profile, step.dataset, plain(step.body), step.received.at(clock))
            case AdvanceStep():
                world.advance(step.to.at(clock))
            case DefineStep():
                (world.define_features if step.features else world.define)(step.definitions)
            case RemoveStep():
                world.remove(step.names)
            case MergeStep():
                world.merge(step.source, step.into)
            case ListStep():
                world.change_list(step.name, step.add, step.remove)

    def _differences(self, step: Step, number: int) -> list[str]:
        if not isinstance(step, ExpectErrorStep):
            self.world.settle()
        match step:
            case ExpectMembersStep():
                return [line for name, ids in step.members.items() for line in self._members(name, ids)]
            case ExpectProfileStep():
                return self._profile(step)
            case TransitionsStep():
                return self._transitions(step)
            case ExpectErrorStep():
                return self._error(step, number)
        raise AssertionError(step)

    def _members(self, segment: str, expected: frozenset[str]) -> list[str]:
        actual = self.world.members(segment)
        if actual == expected:
            return []
        lines = [f"{segment}: expected {_list(expected)}, found {_list(actual)}"]
        for what, ids in (("missing", expected - actual), ("unexpected", actual - expected)):
            if ids:
                lines.append(f"  {what}: {', '.join(sorted(ids))}")
        wrong = sorted(expected ^ actual)
        return lines + [line for profile in wrong[:_WHY_MAX] for line in self._why(profile, segment)]

    def _why(self, profile: str, segment: str) -> list[str]:
        tree = self.world.why(profile, segment)
        if tree is None:
            known = profile in self.world.lives
            return [f"  {profile}: {'the segment does not exist now' if known else 'nothing is known of this profile'}"]
        return [f"  why {profile}:", *(f"    {line}" for line in tree.split("\n"))]

    def _profile(self, step: ExpectProfileStep) -> list[str]:
        lines = []
        for names, wanted in ((step.inside, True), (step.outside, False)):
            for segment in names:
                if (step.profile in self.world.members(segment)) is not wanted:
                    state = ("in", "out of") if wanted else ("out of", "in")
                    lines.append(f"{step.profile}: expected {state[0]} {segment}, found {state[1]} it")
                    lines += self._why(step.profile, segment)
        actual = self.world.features(step.profile) if step.features else {}
        for name, value in step.features.items():
            found = actual.get(name)
            if not _close(value, found):
                lines.append(f"{step.profile}: expected {name} = {_number(value)}, found {_number(found)}")
        return lines

    def _transitions(self, step: TransitionsStep) -> list[str]:
        actual, clock = self.world.take_transitions(), self.world.clock
        expected = [
            (one.at.at(clock) if one.at else None, one.profile, one.segment, one.entered) for one in step.transitions
        ]
        if all(one.at for one in step.transitions):
            expected.sort(key=lambda one: (one[0] or 0, *one[1:3]))
        # An instant that is not given is taken from its counterpart, so that it does not show as a difference.
        for index, (one, found) in enumerate(zip(expected, actual, strict=False)):
            expected[index] = (found.at if one[0] is None else one[0], *one[1:])
        if expected == [tuple(one) for one in actual]:
            return []
        return _compared([_told(*one) for one in expected], [_told(*one) for one in actual])

    def _error(self, step: ExpectErrorStep, number: int) -> list[str]:
        try:
            self._do(step.step, number)
        except Rejected as error:
            if step.message is None or step.message in str(error) or step.message in error.message:
                return []
            return [f"expected an error with: {step.message}", "found:", *(f"  {x}" for x in str(error).split("\n"))]
        return ["expected an error, and there was none"]


_KINDS = {
    "ExpectMembers": "expect",
    "ExpectProfile": "expect",
    "ExpectError": "expect_error",
    "Transitions": "transitions",
}


def located(place: str, definitions: Mapping[str, Definition], error: pql.PqlError) -> WrongInput:
    """The error with its place in the file: the definition's whose text it shows, else the step's."""
    for definition in definitions.values():
        if error.text and definition.text == error.text:
            return definition.located(error)
    return WrongInput(f"{place}: {error}")


def _compared(expected: list[str], actual: list[str]) -> list[str]:
    """A diff by lines: `-` is expected and missing, `+` is found and not expected."""
    return [line.rstrip("\n") for line in difflib.ndiff(expected, actual) if not line.startswith("?")]


def _told(at: int | None, profile: str, segment: str, entered: bool) -> str:
    when = "at any time" if at is None else format_instant(at)
    return f"{when} {profile} {'entered' if entered else 'exited'} {segment}"


def _list(ids: frozenset[str] | set[str]) -> str:
    return f"[{', '.join(sorted(ids))}]"


def _close(expected: float | None, found: float | None) -> bool:
    if expected is None or found is None:
        return expected is found
    return math.isclose(expected, found, rel_tol=1e-9, abs_tol=1e-12)


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:g}" if float(f"{value:g}") == value else repr(value)
