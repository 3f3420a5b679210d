"""Takes log lines and measurements, and keeps none: thousands of schedules fail thousands of times on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


class Silence:
    """Answers every attribute and every call with itself."""

    def __getattr__(self, name: str) -> Any:
        setattr(self, name, self)  # found at once the next time
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self


SILENCE: Any = Silence()


@contextmanager
def quietly() -> Iterator[None]:
    """Keeps the runtime's log lines out of the way."""
    with (
        mock.patch("shared.runtime.fence.get_logger", SILENCE),
        mock.patch("shared.runtime.stepper.get_logger", SILENCE),
    ):
        yield
