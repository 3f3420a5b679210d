"""Whether a series of samples grows: a straight line through block means, with a confidence interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Trend:
    """A slope per hour and the half-width of its 95 % confidence interval; `first`, `last`: means of the end tenths."""

    per_hour: float
    half_width: float
    first: float
    last: float

    def grows(self, limit_per_hour: float) -> bool:
        """Tells whether it certainly grows faster than `limit_per_hour`."""
        return self.per_hour - self.half_width > limit_per_hour


def trend(seconds: Sequence[float], values: Sequence[float], block_s: float = 60.0) -> Trend:
    """Fits a line by least squares.

    Samples are averaged over blocks first, and the interval is widened by the residuals' lag-1 autocorrelation
    (effective sample size n(1 - r)/(1 + r)), because neighbouring samples of a process's memory are far from
    independent. With fewer than four blocks the interval is infinite: nothing is claimed.
    """
    blocks: dict[int, list[tuple[float, float]]] = {}
    for at, value in zip(seconds, values, strict=True):
        blocks.setdefault(int(at // block_s), []).append((at, value))
    x = [fmean(at for at, _ in block) / 3600 for block in blocks.values()]
    y = [fmean(value for _, value in block) for block in blocks.values()]
    tenth = max(1, len(y) // 10)
    first, last = fmean(y[:tenth]), fmean(y[-tenth:])
    if len(x) < 4:
        return Trend(0.0, math.inf, first, last)
    middle_x, middle_y = fmean(x), fmean(y)
    spread = sum((a - middle_x) ** 2 for a in x)
    slope = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True)) / spread
    residuals = [b - middle_y - slope * (a - middle_x) for a, b in zip(x, y, strict=True)]
    squares = sum(r * r for r in residuals)
    if squares == 0:
        return Trend(slope, 0.0, first, last)
    correlation = max(0.0, sum(a * b for a, b in pairwise(residuals)) / squares)
    correlation = min(correlation, 0.9)
    independent = max(3.0, len(x) * (1 - correlation) / (1 + correlation))
    variance = squares / (independent - 2)
    return Trend(slope, _Z95 * math.sqrt(variance / spread), first, last)
