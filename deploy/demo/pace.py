"""How far ahead of the decisions the sender may run.

A replay sends as fast as the system decides, no faster: waiting records would only make every latency longer. The
lead covers about three seconds of work, because commits, which tell how far the work is, trail by a second, and it has
a least size, because stages work in batches: a thin stream would make each batch, and so the whole system, less
efficient.
"""

from collections import deque
from dataclasses import dataclass, field

from deploy.demo.pipeline import Look

LEAD_MIN, LEAD_MAX = 12_000, 50_000
_LEAD_S = 3.0
_RATE_WINDOW_S = 5.0


@dataclass(slots=True)
class Rate:
    """Records per second over the last few seconds."""

    window_s: float = _RATE_WINDOW_S
    _points: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, at_s: float, count: int) -> None:
        self._points.append((at_s, count))
        while len(self._points) > 2 and at_s - self._points[0][0] > self.window_s:
            self._points.popleft()

    @property
    def per_second(self) -> float:
        if len(self._points) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._points[0], self._points[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


@dataclass(slots=True)
class Pace:
    """Tells how many records may be sent now."""

    rate: Rate = field(default_factory=Rate)
    _undecided: int = 0
    _sent_since: int = 0

    def note(self, look: Look) -> None:
        """Takes a look at the pipeline."""
        self.rate.note(look.at_s, look.done["segmentation"])
        self._undecided = look.undecided
        self._sent_since = 0

    def sent(self, count: int) -> None:
        self._sent_since += count

    @property
    def lead(self) -> int:
        """Most records that may wait to be decided."""
        return int(min(max(self.rate.per_second * _LEAD_S, LEAD_MIN), LEAD_MAX))

    @property
    def room(self) -> int:
        return max(0, self.lead - self._undecided - self._sent_since)
