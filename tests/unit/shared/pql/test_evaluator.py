"""The engine's promises, one event at a time."""

import random
from typing import Any

import pytest

from shared.pql import (
    Change,
    Event,
    FeatureSpec,
    Plan,
    PlanError,
    Profile,
    ProfileState,
    Schema,
    SegmentSpec,
    build_plan,
    compile_feature,
    compile_segment,
    decode_state,
    due,
    encode_state,
    evaluate,
    new_state,
    read_features,
)

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOW = 1_700_000_000 * SECOND
PERMISSIVE = Schema.permissive()


def segments(**texts: str) -> Plan:
    return build_plan([SegmentSpec(name, 1, compile_segment(text, PERMISSIVE)) for name, text in texts.items()])


def purchase(id_: str, at: int, total: Any = None) -> Event:
    return Event(id_, at, "purchase", {"commerce": {"order": {"priceTotal": total}}})


def profile(**attributes: Any) -> Profile:
    return Profile("u1", attributes)


def test_a_window_holds_at_its_exact_age_and_no_longer_a_microsecond_later() -> None:
    plan = segments(recent='xEvent[eventType = "purchase" and timestamp occurs <= 7 days before now].count() >= 1')
    outcome = evaluate(plan, new_state(), profile(), purchase("e1", NOW), NOW)

    at_seven_days = due(plan, outcome.state, profile(), NOW + 7 * DAY)
    later = due(plan, outcome.state, profile(), NOW + 8 * DAY)

    assert outcome.next_deadline == NOW + 7 * DAY + 1
    assert at_seven_days.changes == ()
    assert later.changes == (Change("recent", 1, False, NOW + 7 * DAY + 1, True),)
    assert later.next_deadline is None


def test_a_deadline_between_two_events_fires_at_its_own_instant() -> None:
    plan = segments(recent='xEvent[eventType = "purchase" and timestamp occurs <= 7 days before now].count() >= 1')
    state = evaluate(plan, new_state(), profile(), purchase("e1", NOW), NOW).state

    outcome = evaluate(plan, state, profile(), purchase("e2", NOW + 9 * DAY), NOW + 9 * DAY)

    assert outcome.changes == (
        Change("recent", 1, False, NOW + 7 * DAY + 1, True),
        Change("recent", 1, True, NOW + 9 * DAY, False),
    )


def test_a_lapsed_buyer_enters_by_time_alone() -> None:
    plan = segments(lapsed='xEvent[eventType = "purchase"].max(timestamp) occurs > 14 days before now')
    state = evaluate(plan, new_state(), profile(), purchase("e1", NOW), NOW).state

    outcome = due(plan, state, profile(), NOW + 20 * DAY)

    assert outcome.changes == (Change("lapsed", 1, True, NOW + 14 * DAY + 1, True),)


def test_an_event_of_the_future_counts_when_its_time_comes() -> None:
    plan = segments(buyer='xEvent[eventType = "purchase"].count() > 0')
    early = evaluate(plan, new_state(), profile(), purchase("e1", NOW + DAY), NOW)
    assert early.changes == ()
    assert early.next_deadline == NOW + DAY

    outcome = due(plan, early.state, profile(), NOW + DAY)

    assert outcome.changes == (Change("buyer", 1, True, NOW + DAY, True),)


def test_a_duplicate_event_counts_once() -> None:
    plan = segments(twice='xEvent[eventType = "purchase"].count() >= 2')
    state = evaluate(plan, new_state(), profile(), purchase("e1", NOW), NOW).state

    outcome = evaluate(plan, state, profile(), purchase("e1", NOW), NOW + SECOND)

    assert outcome.duplicate
    assert outcome.changes == ()


def test_the_order_of_arrival_does_not_show() -> None:
    plan = segments(
        spent='xEvent[eventType = "purchase"].sum(commerce.order.priceTotal) >= 4.6',
        recent="xEvent[timestamp occurs <= 3 days before now].sum(commerce.order.priceTotal) > 2",
        chain="chain(xEvent, timestamp, [A: WHAT(commerce.order.priceTotal > 1), B: WHAT(eventType.isNotNull())])",
    )
    events = [purchase(f"e{n}", NOW - n * DAY, 0.1 + n * 0.3) for n in range(6)]
    results = set()

    for seed in range(20):
        order = random.Random(seed).sample(events, len(events))
        state = new_state()
        for event in order:
            state = evaluate(plan, state, profile(), event, NOW).state
        results.add((tuple(sorted(state.members)), state.next_deadline))

    assert len(results) == 1


def test_segments_of_segments_change_in_the_same_step() -> None:
    plan = segments(
        top='inSegment("middle") and not inSegment("blocked")',
        middle='inSegment("buyer")',
        buyer='xEvent[eventType = "purchase"].count() > 0',
        blocked="blocked = true",
    )

    outcome = evaluate(plan, new_state(), profile(), purchase("e1", NOW), NOW)

    assert sorted(outcome.state.members) == ["buyer", "middle", "top"]


def test_a_cycle_of_segments_is_refused_and_named() -> None:
    with pytest.raises(PlanError, match="a → b → a"):
        segments(a='inSegment("b")', b='inSegment("a")')


def test_a_segment_is_found_by_its_name() -> None:
    buyer = SegmentSpec("id-1", 1, compile_segment('xEvent[eventType = "purchase"].count() > 0', PERMISSIVE), "Buyers")
    other = SegmentSpec("id-2", 1, compile_segment('inSegment("Buyers")', PERMISSIVE))

    outcome = evaluate(build_plan([other, buyer]), new_state(), profile(), purchase("e", NOW), NOW)

    assert set(outcome.state.members) == {"id-1", "id-2"}


def test_attributes_are_judged_again_when_they_change() -> None:
    plan = segments(likely="_freshet.propensity >= 0.5", unknown="not (_freshet.propensity >= 0.5)")
    state = evaluate(plan, new_state(), profile(), None, NOW).state
    assert set(state.members) == {"unknown"}

    outcome = evaluate(plan, state, profile(_freshet={"propensity": 0.7}), None, NOW + SECOND)

    assert set(outcome.state.members) == {"likely"}
    assert [change.effective_at for change in outcome.changes] == [NOW + SECOND, NOW + SECOND]


def test_a_plan_change_keeps_the_state_of_unchanged_leaves() -> None:
    text = 'xEvent[eventType = "purchase"].count() >= 2'
    first = segments(twice=text, gone="not (x = 1)")
    state = evaluate(first, new_state(), profile(), purchase("e1", NOW), NOW).state
    assert set(state.members) == {"gone"}
    edited = SegmentSpec("twice", 2, compile_segment(text, PERMISSIVE))
    second = build_plan([edited, SegmentSpec("new", 1, compile_segment("not (y = 1)", PERMISSIVE))], previous=first)

    outcome = evaluate(second, state, profile(), purchase("e2", NOW + 1), NOW + 1)

    assert set(outcome.state.members) == {"twice", "new"}
    assert Change("gone", 0, False, NOW + 1, False) in outcome.changes
    assert second.leaves_new == frozenset()


def test_a_changed_version_does_not_enter_twice() -> None:
    first = segments(known="not (x = 1)")
    state = evaluate(first, new_state(), profile(), None, NOW).state
    edited = SegmentSpec("known", 2, compile_segment("not (x = 2)", PERMISSIVE))

    outcome = evaluate(build_plan([edited], previous=first), state, profile(), None, NOW + 1)

    assert outcome.changes == ()
    assert outcome.state.members == {"known": NOW}


def test_the_state_survives_its_encoding() -> None:
    plan = segments(
        spent='xEvent[eventType = "purchase"].sum(commerce.order.priceTotal) >= 100',
        recent="xEvent[timestamp occurs <= 3 days before now].count() >= 2",
    )
    state = new_state()
    for number in range(5):
        state = evaluate(plan, state, profile(), purchase(f"e{number}", NOW + number, 12.34), NOW + number).state

    copy = decode_state(encode_state(state))

    assert copy == state
    assert isinstance(copy, ProfileState)


def test_features_are_read_at_an_instant() -> None:
    features = {
        "orders": 'xEvent[eventType = "purchase"].count()',
        "spent_7d": "xEvent[timestamp occurs <= 7 days before now].sum(commerce.order.priceTotal)",
        "mean": 'xEvent[eventType = "refund"].average(commerce.order.priceTotal)',
        "recency": 'now - xEvent[eventType = "purchase"].max(timestamp)',
        "ratio": 'xEvent[eventType = "purchase"].count() / xEvent.count()',
    }
    plan = build_plan([], [FeatureSpec(name, compile_feature(text, PERMISSIVE)) for name, text in features.items()])
    outcome = evaluate(plan, new_state(), profile(), purchase("e1", NOW, 12.5), NOW)

    found = read_features(plan, outcome.state, profile(), NOW + 2 * SECOND)

    assert outcome.features_touched
    assert found == {"orders": 1.0, "spent_7d": 12.5, "mean": None, "recency": 2.0, "ratio": 1.0}


@pytest.mark.parametrize("value", [1e308, float("inf"), float("nan"), 10**18, -(10**18), 1e200])
def test_numbers_at_the_edge_break_nothing(value: float) -> None:
    plan = segments(
        **{
            function: f"xEvent.{function}(commerce.order.priceTotal) > 1"
            for function in ("sum", "average", "variance", "min", "max")
        },
        window="xEvent[timestamp occurs <= 1 day before now].variance(commerce.order.priceTotal) >= 0",
    )
    state = new_state()

    for number in range(4):
        state = evaluate(plan, state, profile(), purchase(f"e{number}", NOW, value), NOW).state

    assert decode_state(encode_state(state)).members == state.members
