"""Histories that a new plan wants and an old one did not keep: what to replay, and how a profile takes it over.

A leaf's state depends on the records of the profile alone, not on who reads it. So a state that has seen all records of
a profile up to some offset under `history_plan` holds, for every leaf it keeps, what the profile's own state would
hold had the new plan run from the start; `take_history` puts it there. Series, which leaves share, are sets of events:
they unite. Everything else is put, not added, so nothing is counted twice.
"""

from collections.abc import Iterator
from itertools import chain

from shared.pql.history import recalls, since_conditions
from shared.pql.plan import Expression, FeatureSpec, Plan
from shared.pql.planner import build_plan
from shared.pql.state import ProfileState


def history_plan(old: Plan, new: Plan) -> Plan | None:
    """The plan that keeps the histories which `new` reads and `old` does not keep; None if there are none.

    It has features only: they are read on demand, so that an event costs its leaves and nothing is judged by time.
    """
    wanted = [
        FeatureSpec(f"{position}", expression)
        for position, expression in enumerate(_expressions(new))
        if lacks_history(old, new, expression)
    ]
    return build_plan((), wanted, new) if wanted else None


def lacks_history(old: Plan, new: Plan, expression: Expression) -> bool:
    """Whether an expression of `new` reads a history that `old` does not keep."""
    core = expression.planned
    leaves = (new.leaves[spec].key for spec in recalls(core))
    conditions = (new.since[condition].key for condition in since_conditions(core))
    return any(key not in old.state_keys for key in chain(leaves, conditions))


def take_history(old: Plan, new: Plan, state: ProfileState, history: ProfileState) -> None:
    """Put into `state`, last seen under `old`, the histories only `new` keeps; both know the same records.

    The values move: `history` is used up. Call it before the profile is first seen under `new`.
    """
    wanted = new.state_keys - old.state_keys
    for key, value in history.leaves.items():
        series = new.series.get(key)
        if series is not None and key in state.leaves:
            # The old plan may have kept fewer of the series' events than the new one needs.
            state.leaves[key] = series.merge(state.leaves[key], value)
        elif series is not None or key in wanted:
            state.leaves[key] = value
    state.newest = max(state.newest, history.newest)


def _expressions(plan: Plan) -> Iterator[Expression]:
    yield from (segment.spec.expression for segment in plan.segments)
    yield from (feature.spec.expression for feature in plan.features)
