"""What an expression costs: estimates for limits and explanations, from the plan alone.

Work is counted in steps of roughly a tenth of a microsecond of one event on one core; the figures order expressions and
bound hostile ones, they are no promise.
"""

from dataclasses import dataclass

from shared.pql.bounds import window_of
from shared.pql.core import Core, Each, Interval, parts, walk
from shared.pql.errors import LimitError
from shared.pql.history import recalls
from shared.pql.leaves.base import LeafSpec, Recall
from shared.pql.syntax import Query
from shared.pql.windows import MovingBound

COST_MAX = 50_000_000
LEAVES_MAX = 64
_ENTRY_BYTES = {"tally": 0, "window": 27, "sequence": 20, "general": 200}


@dataclass(frozen=True, slots=True)
class Estimate:
    """`steps` at worst for one event, `bytes` at worst for one profile."""

    steps: int
    bytes: int


def estimate(planned: Core) -> Estimate:
    """The worst case of a planned expression."""
    leaves = recalls(planned)
    size = sum(64 + spec.entries * _ENTRY_BYTES[spec.family] for spec in leaves)
    return Estimate(_steps(planned), size)


def _steps(node: Core) -> int:
    """Every loop over a general leaf's events costs its entries; loops inside loops multiply."""
    total = 0
    stack: list[tuple[Core, int]] = [(node, 1)]
    while stack:
        current, times = stack.pop()
        total += times
        if isinstance(current, Each):
            inner = times * _items(current.source)
            if current.body is not None:
                stack.append((current.body, inner))
            stack.append((current.source, times))
            stack.extend((item, times) for item in current.extra)
        else:
            stack.extend((child, times) for child in parts(current))
    return total


def _items(source: Core) -> int:
    """How many items an array may have: as many as its leaf keeps, or as an array of a record is taken to have."""
    return max((node.leaf.entries for node in walk(source) if isinstance(node, Recall)), default=10)


def refuse_costly(planned: Core, query: Query) -> None:
    """Refuse an expression whose worst case exceeds the limits, with the figures."""
    leaves = len(recalls(planned))
    if leaves > LEAVES_MAX:
        hint = "split it into several segments and join them with inSegment(...)"
        raise LimitError(f"the expression keeps {leaves} histories, the limit is {LEAVES_MAX}", query.span, hint)
    steps = estimate(planned).steps
    if steps > COST_MAX:
        hint = "avoid comparing every event with every other; use chain(...) or an aggregate"
        message = f"the expression may take {steps:,} steps for one event, the limit is {COST_MAX:,}"
        raise LimitError(message, query.span, hint)


def latest_change(spec: LeafSpec) -> str:
    """In words: how long after an event time alone may still change what the leaf shows."""
    if not isinstance(spec.interval, Interval):
        return "never" if spec.family == "tally" else "as its conditions say"
    low = window_of(spec.interval).low
    if isinstance(low, MovingBound):
        return "when the oldest counted event leaves the window"
    return "never" if low is None else "never: the window stands still"
