"""How long a feed lets records gather between two polls: a batch costs as much for one record as for fifty."""

import math

_ROWS = 60
_ENOUGH_ROWS = 200
_LIMIT_S = 0.025
_MEMORY_S = 0.1


class Pace:
    """Follows the rate at which records come: about sixty are wanted at a time, and none waits longer than 25 ms.

    At 2,000 records a second that is 25 ms between polls, at 10,000 it is 6 ms; a feed that is behind does not wait,
    and neither does the first record after a silence.
    """

    def __init__(self) -> None:
        self._rate = 0.0
        self._polled_at: float | None = None

    def seconds(self, rows: int, now_s: float) -> float:
        """Takes note of a poll that found so many rows at `now_s` (monotonic s); returns the wait before the next."""
        if self._polled_at is not None:
            elapsed = max(1e-4, now_s - self._polled_at)
            kept = math.exp(-elapsed / _MEMORY_S)
            self._rate = kept * self._rate + (1 - kept) * rows / elapsed
        self._polled_at = now_s
        if rows == 0 or rows >= _ENOUGH_ROWS:
            return 0.0
        return min(_LIMIT_S, _ROWS / max(1.0, self._rate))
