"""Chains, the naive way: try every choice of events for the steps that must happen."""

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import Any

from shared.pql.syntax import Step

Meets = Callable[[Step, Any], bool]


def matches(
    steps: Sequence[Step],
    total: int | None,
    events: list[Any],
    meets: Meets,
    gap: Callable[[Step], int | None],
    now: int,
) -> bool:
    """Events are in time order and have happened; `gap` gives a step's WITHIN in microseconds."""
    positive = [step for step in steps if not step.negated]
    for chosen in combinations(events, len(positive)):
        times = [event["timestamp"] for event in chosen]
        if any(late <= early for early, late in pairwise(times)):
            continue
        if not all(meets(step, event) for step, event in zip(positive, chosen, strict=True)):
            continue
        gaps = [gap(step) for step in positive]
        if any(limit is not None and times[i] - times[i - 1] > limit for i, limit in enumerate(gaps) if i):
            continue
        if total is not None and times[-1] - times[0] > total:
            continue
        if _undisturbed(steps, chosen, events, meets, gap, now):
            return True
    return False


def _undisturbed(steps: Sequence[Step], chosen: Any, events: list[Any], meets: Meets, gap: Any, now: int) -> bool:
    reached = 0
    for step in steps:
        if not step.negated:
            reached += 1
            continue
        before = chosen[reached - 1] if reached else None
        after = chosen[reached] if reached < len(chosen) else None
        within = gap(step)
        low = before["timestamp"] if before else -(10**20)
        high = after["timestamp"] if after else 10**20
        if within is not None:
            if before:
                high = min(high, low + within)
            else:
                low = high - within
            if after is None and now < high:
                return False
        spared = [event for event in (before, after) if event is not None]
        if any(low <= e["timestamp"] <= high and meets(step, e) for e in events if not any(e is s for s in spared)):
            return False
    return True
