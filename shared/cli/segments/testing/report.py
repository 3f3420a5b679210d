"""Results for people, and as JSON for programs."""

from collections.abc import Sequence
from typing import Any

from shared.cli.segments.errors import counted
from shared.cli.segments.testing.runner import Failure, Result
from shared.kernel.clock import format_instant

Outcome = Result | tuple[str, str]
"""A result, or a file's name and why it is wrong."""


def as_text(outcomes: Sequence[Outcome]) -> str:
    """What failed, and one line of totals."""
    lines: list[str] = []
    for outcome in outcomes:
        if isinstance(outcome, tuple):
            lines += [f"ERROR {outcome[0]}", *_indented(outcome[1])]
            continue
        for failure in outcome.failures:
            place = f"{outcome.name}:{failure.line}"
            lines.append(f"FAIL {place} {failure.kind} (clock {format_instant(failure.at)})")
            lines += [f"  {line}" for line in failure.differences]
        if not outcome.failures:
            lines.append(f"ok {outcome.name} ({outcome.steps} steps, {outcome.expectations} expectations)")
    return "\n".join([*lines, _totals(outcomes)])


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.split("\n")]


def _totals(outcomes: Sequence[Outcome]) -> str:
    results = [outcome for outcome in outcomes if isinstance(outcome, Result)]
    failed = sum(len(result.failures) for result in results)
    held = sum(result.expectations for result in results) - failed
    wrong = len(outcomes) - len(results)
    text = f"{counted(len(outcomes), 'file')}: {counted(held, 'expectation')} held, {failed} failed"
    return f"{text}, {counted(wrong, 'file')} wrong" if wrong else text


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The same as one object: `ok`, `files` with their failures, and totals."""
    files = [_file(outcome) for outcome in outcomes]
    return {
        "ok": all(file["ok"] for file in files),
        "expectations": sum(file["expectations"] for file in files),
        "failed": sum(len(file["failures"]) for file in files),
        "errors": sum(file["error"] is not None for file in files),
        "files": files,
    }


def _file(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, tuple):
        name, error = outcome
        return {"file": name, "ok": False, "error": error, "steps": 0, "expectations": 0, "failures": []}
    return {
        "file": outcome.name,
        "ok": not outcome.failures,
        "error": None,
        "steps": outcome.steps,
        "expectations": outcome.expectations,
        "failures": [_failure(failure) for failure in outcome.failures],
    }


def _failure(failure: Failure) -> dict[str, Any]:
    clock = format_instant(failure.at)
    return {"line": failure.line, "step": failure.kind, "clock": clock, "differences": list(failure.differences)}


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 if all held, 1 if expectations failed, 2 if a file was wrong."""
    if any(isinstance(outcome, tuple) for outcome in outcomes):
        return 2
    return 1 if any(outcome.failures for outcome in outcomes if isinstance(outcome, Result)) else 0
