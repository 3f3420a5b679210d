"""Exponentially decayed sums, in steps.

A sum that decays continuously would change at every instant. It is therefore judged on a grid: ages are counted in
whole steps of 1/32 half-life, on a grid fixed to the epoch, so all of a profile's entries step together and the
value holds until the next step. Contributions older than 64 half-lives (2^-64 of their value) are forgotten.
"""

from collections.abc import Callable
from typing import Any

from shared.pql.arrays import exact_sum, items, numbers
from shared.pql.windows import NEVER

STEPS_PER_HALF_LIFE = 32
HALF_LIVES_KEPT = 64


def step_micros(half_life: int) -> int:
    """The grid's step in microseconds."""
    return max(1, half_life // STEPS_PER_HALF_LIFE)


def decayed_sum(context: Any, source: Any, body: Callable[[Any], Any], half_life: int) -> Any:
    """Σ value · 2^(-age / half-life) over events that carry a `timestamp`, ages in steps; 0 of nothing."""
    step = step_micros(half_life)
    present = context.now // step
    terms: list[float] = []
    for item in items(source):
        at = item.get("timestamp") if item.__class__ is dict else None
        if at.__class__ is not int or at > context.now:
            continue
        age = present - at // step
        if age <= HALF_LIVES_KEPT * STEPS_PER_HALF_LIFE:
            weight = 2.0 ** (-age / STEPS_PER_HALF_LIFE)
            terms.extend(value * weight for value in numbers([item], body))
    if any(terms):
        context.until = min(context.until, (present + 1) * step, NEVER)
    return exact_sum(terms) if terms else 0
