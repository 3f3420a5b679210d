"""Two profiles become one: their states unite, and the surviving profile is judged anew.

Windows, sequences and general leaves are sets of events, so an event both profiles saw counts once. Running totals are
numbers: an event counted under both profiles counts twice in them, which needs the same event to have been keyed to two
profiles before they were known to be one.
"""

from shared.pql.evaluator import Outcome, Profile, Run
from shared.pql.plan import Plan
from shared.pql.state import ProfileState


def merge_states(plan: Plan, state: ProfileState, other: ProfileState, profile: Profile, now: int) -> Outcome:
    """Fold `other` into `state` at `now` (µs); `profile` is the merged view.

    Changes are those of the surviving profile, `effective_at` now; the memberships of the other end with it, and the
    caller reports them. Both states are used up.
    """
    run = Run(plan, state, profile, max(now, state.now, other.now))
    run.adopt_plan()
    run.pass_time(run.now - 1)
    leaves = {leaf.key: leaf for leaf in plan.leaves.values()}
    state.newest = max(state.newest, other.newest)
    for key, value in other.leaves.items():
        if key not in plan.state_keys:
            continue
        mine = state.leaves.get(key)
        if mine is None:
            state.leaves[key] = value
        elif key in plan.series:
            state.leaves[key] = plan.series[key].merge(mine, value)
        elif key in leaves:
            state.leaves[key] = leaves[key].merge(mine, value, run.now)
        else:
            # A condition on attributes that held for both has held since the earlier beginning.
            state.leaves[key] = min(mine, value)
    state.remember_all(other.guard)
    run.attributes_changed()
    run.features_touched = True
    run.dirty.update(range(len(plan.conditions)))
    return run.finish(duplicate=False)
