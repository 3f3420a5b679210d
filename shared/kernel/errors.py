"""Errors whose class says the reaction: retry, reject or stop.

Messages say what, which id, what was expected and found, and what to do next.
"""

from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why a record was refused: a closed list, used as metric label and dead-letter header."""

    BAD_JSON = "bad_json"
    TOO_BIG = "too_big"
    TOO_DEEP = "too_deep"
    ENVELOPE = "envelope"
    UNKNOWN_DATASET = "unknown_dataset"
    SCHEMA = "schema"
    IDENTITY = "identity"
    TIME = "time"
    NON_FINITE = "non_finite"
    EXPRESSION = "expression"
    MODEL = "model"
    CONFLICT = "conflict"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    STEP_ERROR = "step_error"


class FreshetError(Exception):
    """Root of all errors raised on purpose."""


class Retryable(FreshetError):
    """Transient trouble: back off and try the same thing again; nothing is skipped."""


class Rejected(FreshetError):
    """Input that will never be valid: answer 4xx, or move to the dead-letter topic.

    `reason` is the closed enum for metrics; `message`, and `str()` where it says more, is for people.
    """

    def __init__(self, message: str, reason: Reason = Reason.INVALID) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason

    def details(self) -> dict[str, Any]:
        """What programs want to know beyond the text, as JSON; empty unless a subclass knows more."""
        return {}


class ExitCode:
    """Exit codes of every Freshet process; the supervisor restarts all but `CONFIGURATION`."""

    CONFIGURATION = 78
    RETRY = 75
    FENCED = 70
    GAP = 71
    LOG_TRUNCATED = 72
    STALLED = 73


class Fatal(FreshetError):
    """A broken invariant or configuration: stop the process with `exit_code`."""

    def __init__(self, message: str, exit_code: int = ExitCode.CONFIGURATION) -> None:
        super().__init__(message)
        self.exit_code = exit_code
