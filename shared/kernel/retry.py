"""Back-off between attempts: exponential, capped, with full jitter from the caller's random source."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds between attempts. `jitter` is the share of each delay that is drawn at random."""

    first_s: float = 0.1
    factor: float = 2.0
    max_s: float = 5.0
    jitter: float = 0.5

    def delays(self, random: Random) -> Iterator[float]:
        """Yields delays without end; the caller decides when to give up."""
        delay = self.first_s
        while True:
            yield delay * (1 - self.jitter * random.random())
            delay = min(delay * self.factor, self.max_s)
