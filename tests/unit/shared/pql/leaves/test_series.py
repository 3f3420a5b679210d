"""Series: one list of events for all that look at it, as long as somebody may need it."""

from shared.pql import (
    Event,
    Plan,
    Profile,
    ProfileState,
    Schema,
    SegmentSpec,
    build_plan,
    compile_segment,
    evaluate,
    history_plan,
    new_state,
    take_history,
)

DAY = 86_400_000_000
NOW = 1_700_000_000_000_000
PERMISSIVE = Schema.permissive()
NOBODY = Profile("u1", {})


def plan_of(*texts: str, previous: Plan | None = None) -> Plan:
    specs = [SegmentSpec(f"s{n}", 1, compile_segment(text, PERMISSIVE)) for n, text in enumerate(texts)]
    return build_plan(specs, previous=previous)


def fed(plan: Plan, *events: Event) -> ProfileState:
    state = new_state()
    for event in events:
        state = evaluate(plan, state, NOBODY, event, event.occurred_at).state
    return state


def buy(id_: str, at: int) -> Event:
    return Event(id_, at, "buy", {})


def within(days: int, count: int) -> str:
    return f'xEvent[eventType = "buy" and timestamp occurs <= {days} days before now].count() >= {count}'


def test_windows_and_steps_over_one_condition_share_its_events() -> None:
    plan = plan_of(
        within(7, 1), within(30, 2), 'chain(xEvent, timestamp, [A: WHAT(eventType = "buy"), B: WHAT(eventType = "x")])'
    )

    state = fed(plan, buy("e1", NOW), buy("e2", NOW + DAY))

    assert len(plan.series) == 2
    assert [len(columns[0]) for columns in state.leaves.values()] == [2]


def test_a_series_forgets_what_its_longest_window_has_left_behind() -> None:
    plan = plan_of(within(7, 1), within(30, 2))

    state = fed(plan, buy("e1", NOW), buy("e2", NOW + 20 * DAY), buy("e3", NOW + 31 * DAY))

    assert [columns[0] for columns in state.leaves.values()] == [[NOW + 20 * DAY, NOW + 31 * DAY]]


def test_what_has_matched_for_ever_needs_no_events() -> None:
    plan = plan_of('chain(xEvent, timestamp, [A: WHAT(eventType = "buy"), B: WHAT(eventType = "sell")])')

    state = fed(plan, buy("e1", NOW), Event("e2", NOW + 1, "sell", {}), buy("e3", NOW + 2))

    assert list(state.members) == ["s0"]
    assert list(state.leaves.values()) == [1]


def test_a_replayed_history_unites_with_the_events_that_are_there() -> None:
    old = plan_of(within(7, 1))
    new = plan_of(within(7, 1), within(30, 2), previous=old)
    events = [buy("e1", NOW), buy("e2", NOW + 20 * DAY)]
    state, replayed = fed(old, *events), history_plan(old, new)
    assert replayed is not None

    take_history(old, new, state, fed(replayed, *events))
    outcome = evaluate(new, state, NOBODY, None, NOW + 20 * DAY)

    assert [columns[0] for columns in outcome.state.leaves.values()] == [[NOW, NOW + 20 * DAY]]
    assert set(outcome.state.members) == {"s0", "s1"}


def test_the_series_of_many_windows_keeps_the_newest_thousand_for_a_step_without_one() -> None:
    plan = plan_of(within(1, 1), 'chain(xEvent, timestamp, [A: WHAT(eventType = "buy"), B: WHAT(eventType = "x")])')

    state = fed(plan, *(buy(f"e{n}", NOW + n * DAY) for n in range(1_005)))

    (columns,) = state.leaves.values()
    assert 1_000 == len(columns[0])
    assert NOW + 1_004 * DAY == columns[0][-1]
