"""Laws of the engine over random plans: order, doubling, batching, plan changes and merges do not show."""

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.pql import (
    Change,
    Event,
    Outcome,
    Profile,
    ProfileState,
    SegmentSpec,
    build_plan,
    compile_segment,
    decode_state,
    due,
    encode_state,
    evaluate,
    merge_states,
    new_state,
)
from shared.pql.parser import parse
from tests.property.pql.scenario import PERMISSIVE, Scenario, scenario
from tests.support.naive.evaluate import NaiveEvent, holds
from tests.support.naive.generate import START, Generator

SEEDS = st.integers(0, 2**40)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def fed(story: Scenario, events: list[NaiveEvent], now: int = START) -> ProfileState:
    state = new_state()
    for event in events:
        sent = Event(event.id, event.occurred_at, event.type, event.body)
        state = evaluate(story.plan, state, story.profile, sent, now).state
    return due(story.plan, state, story.profile, now).state


def still_to_come(story: Scenario, state: ProfileState) -> tuple[Change, ...]:
    """What time alone will bring."""
    return due(story.plan, decode_state(encode_state(state)), story.profile, START + 500 * 86_400_000_000).changes


def prepared(seed: int, count: int = 8) -> tuple[Scenario, list[NaiveEvent]]:
    story = scenario(seed)
    story.world = replace(story.world, timeline=((START, story.generator.attributes()),))
    return story, [story.generator.event(number, START) for number in range(count)]


@QUICK
@given(SEEDS)
def test_any_order_of_arrival_ends_in_the_same_memberships(seed: int) -> None:
    story, events = prepared(seed)
    shuffled = Random(seed).sample(events, len(events))

    first, second = fed(story, events), fed(story, shuffled)

    assert set(first.members) == set(second.members)
    assert still_to_come(story, first) == still_to_come(story, second)


@QUICK
@given(SEEDS)
def test_an_event_sent_twice_counts_once(seed: int) -> None:
    story, events = prepared(seed)
    doubled = [event for event in events for _ in range(2)]

    assert set(fed(story, events).members) == set(fed(story, doubled).members)


@QUICK
@given(SEEDS)
def test_decoding_an_encoded_state_gives_it_back(seed: int) -> None:
    story, events = prepared(seed)
    state = fed(story, events)

    assert decode_state(encode_state(state)) == state


@QUICK
@given(SEEDS)
def test_a_merge_of_two_profiles_equals_one_profile_with_all_events(seed: int) -> None:
    story, events = prepared(seed)
    left, right = fed(story, events[::2]), fed(story, events[1::2])

    merged = merge_states(story.plan, left, right, story.profile, START).state

    whole = fed(story, events)
    merged = due(story.plan, merged, story.profile, START).state
    assert set(merged.members) == set(whole.members)
    assert still_to_come(story, merged) == still_to_come(story, whole)


@QUICK
@given(SEEDS)
def test_adding_a_segment_changes_no_other_and_judges_the_new_one_on_kept_history(seed: int) -> None:
    story, events = prepared(seed)
    state = fed(story, events)
    before = set(state.members)
    generator = Generator(seed + 1)
    text = generator.on_profile(1)
    added = SegmentSpec("added", 1, compile_segment(text, PERMISSIVE))
    plan = build_plan([*(segment.spec for segment in story.plan.segments), added], previous=story.plan)

    outcome = evaluate(plan, state, story.profile, None, START)

    # Conditions on attributes begin with the plan that asks for them.
    expected = holds(parse(text), story.world)
    assert set(outcome.state.members) == before | ({"added"} if expected else set())


@QUICK
@given(SEEDS)
def test_one_pass_of_time_equals_many_small_ones(seed: int) -> None:
    story, events = prepared(seed)
    end = START + 40 * 86_400_000_000
    one = due(story.plan, fed(story, events), story.profile, end)
    state, changes = fed(story, events), list[Change]()
    for part in range(1, 9):
        outcome = due(story.plan, state, story.profile, START + part * (end - START) // 8)
        state = outcome.state
        changes += outcome.changes

    assert tuple(changes) == one.changes
    assert state == one.state


@QUICK
@given(SEEDS)
def test_a_profile_without_attributes_is_judged_as_one_with_an_attribute_that_nobody_looks_at(seed: int) -> None:
    story, events = prepared(seed, 2)
    generator = Generator(seed + 1)
    texts = [generator.on_profile(1) for _ in range(6)]
    asked = [SegmentSpec(f"on-profile-{i}", 1, compile_segment(text, PERMISSIVE)) for i, text in enumerate(texts)]
    plan = build_plan([*(segment.spec for segment in story.plan.segments), *asked])

    def lived(attributes: dict[str, Any]) -> list[Outcome]:
        state, profile = new_state(), Profile("p", attributes)
        sent = [Event(event.id, event.occurred_at, event.type, event.body) for event in events]
        return [evaluate(plan, state, profile, event, START + i) for i, event in enumerate(sent)]

    found, expected = lived({}), lived({"nobodyLooksAtThis": 1})

    assert [(o.changes, o.next_deadline) for o in expected] == [(o.changes, o.next_deadline) for o in found]
