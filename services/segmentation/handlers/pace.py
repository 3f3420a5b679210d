"""Taking turns with the stream: work beside it rests often, and reads no faster than it may."""

import asyncio
import time

_TURN_S = 0.005
"""How long a preview holds the event loop at once."""
_REST_RATIO = 1.5
"""Rest after each turn, in turns; more than one, because the decoding of records is not in the measure."""
_BURST_S = 0.02
_LOOK_S = 0.01


class Turns:
    """After 5 ms of work it rests longer, so that half of the loop stays free."""

    def __init__(self) -> None:
        self._worked_s = 0.0
        self._began = time.perf_counter()

    def begin(self) -> None:
        """Goes on with the turn after a wait, which is no work."""
        self._began = time.perf_counter() - self._worked_s

    async def rest(self) -> None:
        """Returns at once while the turn lasts."""
        # Not the loop's clock: uvloop's stands still while a task holds the loop.
        self._worked_s = time.perf_counter() - self._began
        if self._worked_s >= _TURN_S:
            await asyncio.sleep(self._worked_s * _REST_RATIO)
            self._worked_s = 0.0
            self.begin()


class Pace:
    """At most `rows_per_s` rows a second, in bursts of a fiftieth of that."""

    def __init__(self, rows_per_s: int) -> None:
        self._rows_per_s = rows_per_s
        self._held = 0.0
        self._at = time.monotonic()

    def take(self, rows: int) -> bool:
        """Uses `rows` of what has accrued; False if nothing has. One take may overdraw, later ones wait for that."""
        now = time.monotonic()
        burst = max(1.0, self._rows_per_s * _BURST_S)
        self._held = min(burst, self._held + (now - self._at) * self._rows_per_s)
        self._at = now
        if self._held <= 0:
            return False
        self._held -= rows
        return True

    def grant(self, rows: int) -> None:
        """Adds rows beyond the rate: who follows a log that grows must be allowed to catch up with it."""
        self._held += rows

    async def spend(self, rows: int) -> None:
        """Waits until `rows` may be used, and lets others run in any case."""
        await asyncio.sleep(0)
        while not self.take(rows):  # noqa: ASYNC110 - time alone makes rows accrue
            await asyncio.sleep(_LOOK_S)
