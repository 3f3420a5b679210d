"""One line that says how far a long run is."""

import sys
import time
from typing import TextIO

from shared.kernel.clock import format_instant

_TERMINAL_S, _LOG_S = 0.5, 10.0


class Progress:
    """Tells progress on standard error: one line that changes in a terminal, now and then a line elsewhere."""

    def __init__(self, *, quiet: bool, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._quiet = quiet
        self._began = self._told = time.monotonic()
        self._open = False

    def tell(self, events: int, profiles: int, clock: int) -> None:
        """Say how many events of how many profiles have been seen, and how far (µs) time has come."""
        now = time.monotonic()
        if self._quiet or now - self._told < (_TERMINAL_S if self._terminal else _LOG_S):
            return
        self._told = now
        rate = events / (now - self._began)
        text = f"{events:,} events of {profiles:,} profiles, up to {format_instant(clock)[:19]}Z, {rate:,.0f} events/s"
        print(
            f"\r\033[K{text}" if self._terminal else text,
            end="" if self._terminal else "\n",
            file=self._stream,
            flush=True,
        )
        self._open = self._terminal

    def close(self) -> float:
        """End the line; returns the seconds since the beginning."""
        if self._open:
            print(file=self._stream)
            self._open = False
        return time.monotonic() - self._began
