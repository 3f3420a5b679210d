"""Latency percentiles in bounded memory: counts in buckets that grow by 2 %."""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil, log

_GROWTH = 1.02
_LOG_GROWTH = log(_GROWTH)


@dataclass(slots=True)
class Latency:
    """Milliseconds from one moment to another. A percentile is exact to 2 %; what is below 1 ms counts as 1 ms."""

    count: int = 0
    _buckets: Counter[int] = field(default_factory=Counter)

    def add(self, milliseconds: float) -> None:
        bucket = ceil(log(milliseconds) / _LOG_GROWTH) if milliseconds > 1 else 0
        self._buckets[bucket] += 1
        self.count += 1

    def percentile(self, share: float) -> float | None:
        """The least latency that `share` (0 to 1) of all did not exceed, in ms; None when there are none."""
        if not self.count:
            return None
        rank = max(1, ceil(share * self.count))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return float(_GROWTH**bucket)
        raise AssertionError("ranks lie within the count")

    def summary(self) -> dict[str, float | None]:
        """p50, p95 and p99 in ms, rounded to a tenth."""
        values = {name: self.percentile(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return {name: None if value is None else round(value, 1) for name, value in values.items()}
