"""What a call to a service can end with, besides an answer."""

from collections.abc import Mapping
from typing import Any

from shared.kernel.errors import FreshetError, Retryable


class ApiError(FreshetError):
    """The service refused: `status` is HTTP's, `detail` its sentence, `problem` the whole body. Do not repeat."""

    def __init__(self, request: str, status: int, detail: str, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{request}: {status} {detail}")
        self.status = status
        self.detail = detail
        self.problem = problem


class Unreachable(Retryable):
    """The service did not answer, or said "not now", for as long as the client was willing to try."""
