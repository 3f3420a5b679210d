"""Absorbing events and looking later ends in the memberships that evaluating each event would have given."""

import pytest

from shared.pql import (
    Event,
    Plan,
    Profile,
    ProfileState,
    Schema,
    SegmentSpec,
    absorb,
    build_plan,
    catch_up,
    compile_segment,
    due,
    evaluate,
    new_state,
)

DAY = 86_400_000_000
START = 1_709_164_800_000_000
SEGMENTS = {
    "buyer": 'xEvent[eventType = "buy"].count() >= 2',
    "recent": 'xEvent[eventType = "buy" and timestamp occurs <= 2 days before now].count() > 0',
    "lapsed": 'xEvent[eventType = "view" and timestamp occurs <= 1 day before now].count() = 0',
    "both": 'inSegment("buyer") and not inSegment("recent")',
    "untiered": "since(tier.isNull()) occurs >= 3 days before now",
}
LIFE = [(0, "view"), (1, "buy"), (1, "buy"), (3, "view"), (9, "buy")]


def planned() -> Plan:
    return build_plan(
        [SegmentSpec(name, 1, compile_segment(text, Schema.permissive())) for name, text in SEGMENTS.items()]
    )


@pytest.mark.parametrize("looks", [(10,), (0, 10), (1, 2, 4, 9, 30), (5, 400)])
def test_looking_now_and_then_finds_the_members_of_that_instant(looks: tuple[int, ...]) -> None:
    plan, profile = planned(), Profile("u1", {})
    every, now_and_then = new_state(), new_state()
    touched: set[int] = set()
    pending = [Event(f"e{n}", START + day * DAY, type_, {}) for n, (day, type_) in enumerate(LIFE)]

    for look in looks:
        at = START + look * DAY
        while pending and pending[0].occurred_at <= at:
            event = pending.pop(0)
            every = evaluate(plan, every, profile, event, event.occurred_at).state
            touched |= absorb(plan, now_and_then, profile, event, event.occurred_at)
        every = due(plan, every, profile, at).state
        now_and_then = catch_up(plan, now_and_then, profile, touched, at).state
        touched = set()

        assert members(every) == members(now_and_then)


def members(state: ProfileState) -> set[str]:
    return set(state.members)


def test_an_event_absorbed_twice_counts_once() -> None:
    plan, profile, state = planned(), Profile("u1", {}), new_state()
    event = Event("e1", START, "buy", {})

    touched = absorb(plan, state, profile, event, START) | absorb(plan, state, profile, event, START)

    assert "buyer" not in catch_up(plan, state, profile, touched, START).state.members
