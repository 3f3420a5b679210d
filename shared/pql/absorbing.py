"""Events into history without judging anything, for those who look only now and then, such as a backtest.

After any number of `absorb`s one `catch_up` gives the memberships that `evaluate` for each event would have given, for
a fraction of the work; what it cannot give are the transitions in between and their instants.
"""

from collections.abc import Collection

from shared.pql.evaluator import Event, Outcome, Profile, Run
from shared.pql.plan import Plan
from shared.pql.state import ProfileState


def absorb(plan: Plan, state: ProfileState, profile: Profile, event: Event, now: int) -> set[int]:
    """Put an event into the history at `now` (µs), in place. Returns what it touched, for `catch_up`."""
    run = Run(plan, state, profile, max(now, state.now))
    run.adopt_plan()
    if run.adopted:
        # Conditions under `since` begin with the plan that asks for them.
        run.attributes_changed()
    run.insert(event)
    return run.dirty


def catch_up(plan: Plan, state: ProfileState, profile: Profile, touched: Collection[int], now: int) -> Outcome:
    """Judge at `now` (µs) what `absorb` touched since the last time, and what time alone may have changed since.

    All transitions carry `now`, whenever between the two looks they happened.
    """
    run = Run(plan, state, profile, max(now, state.now))
    run.dirty |= touched if isinstance(touched, set) else set(touched)
    run.dirty |= {plan.places[key] for key, horizon in state.horizons.items() if horizon <= now}
    return run.finish(duplicate=False)
