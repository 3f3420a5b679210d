"""Plans change while profiles live on: what is kept, what is judged again, and what is remembered of attributes."""

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
    UnknownStateVersion,
    build_plan,
    compile_feature,
    compile_segment,
    decode_state,
    due,
    encode_state,
    evaluate,
    event_hash,
    explain,
    new_state,
    why,
)

DAY = 86_400_000_000
NOW = 1_700_000_000_000_000
PERMISSIVE = Schema.permissive()
NOBODY = Profile("u1", {})


def spec(id_: str, text: str, version: int = 1, name: str = "") -> SegmentSpec:
    return SegmentSpec(id_, version, compile_segment(text, PERMISSIVE), name)


def buy(id_: str, at: int = NOW) -> Event:
    return Event(id_, at, "buy", {})


def after(plan: Plan, *events: Event, state: ProfileState | None = None) -> ProfileState:
    state = state or new_state()
    for event in events:
        state = evaluate(plan, state, NOBODY, event, max(NOW, event.occurred_at)).state
    return state


def test_an_attribute_that_has_been_so_for_long_enough_enters_by_time() -> None:
    plan = build_plan([spec("loyal", 'since(tier = "gold") occurs > 30 days before now')])
    gold = Profile("u1", {"tier": "gold"})
    state = evaluate(plan, new_state(), NOBODY, None, NOW - DAY).state
    state = evaluate(plan, state, gold, None, NOW).state
    state = evaluate(plan, state, gold, None, NOW + 5 * DAY).state

    outcome = due(plan, state, gold, NOW + 40 * DAY)

    assert outcome.changes == (Change("loyal", 1, True, NOW + 30 * DAY + 1, True),)


def test_an_attribute_that_lapses_begins_anew() -> None:
    plan = build_plan([spec("loyal", 'since(tier = "gold") occurs > 30 days before now')])
    gold = Profile("u1", {"tier": "gold"})
    state = evaluate(plan, new_state(), gold, None, NOW).state
    state = evaluate(plan, state, NOBODY, None, NOW + DAY).state
    state = evaluate(plan, state, gold, None, NOW + 2 * DAY).state

    assert due(plan, state, gold, NOW + 31 * DAY).changes == ()


def test_deadlines_before_a_change_of_attributes_fire_under_the_old_ones() -> None:
    text = 'tier = "gold" and not (xEvent[eventType = "buy" and timestamp occurs <= 1 days before now].count() >= 1)'
    plan = build_plan([spec("idle_gold", text)])
    gold = Profile("u1", {"tier": "gold"})
    state = evaluate(plan, new_state(), gold, buy("e1"), NOW).state

    outcome = evaluate(plan, state, NOBODY, None, NOW + 2 * DAY, before=gold)

    entered = Change("idle_gold", 1, True, NOW + DAY + 1, True)
    assert outcome.changes == (entered, Change("idle_gold", 1, False, NOW + 2 * DAY, False))


def test_deadlines_before_the_time_that_others_have_reached_fire_before_an_older_event() -> None:
    plan = build_plan(
        [spec("recent", 'xEvent[eventType = "buy" and timestamp occurs <= 1 days before now].count() > 0')]
    )
    state = evaluate(plan, new_state(), NOBODY, buy("e1"), NOW).state

    outcome = evaluate(plan, state, NOBODY, buy("e2", NOW + DAY // 2), NOW + DAY // 2, reached=NOW + 2 * DAY)

    gone = NOW + DAY + 1
    assert outcome.changes == (Change("recent", 1, False, gone, True), Change("recent", 1, True, gone, False))
    assert outcome.next_deadline == NOW + DAY // 2 + DAY + 1


def test_a_segment_that_refers_to_a_removed_one_is_judged_again() -> None:
    first = build_plan([spec("a", "not (x = 1)"), spec("b", 'inSegment("a")')])
    state = evaluate(first, new_state(), NOBODY, None, NOW).state
    assert set(state.members) == {"a", "b"}

    outcome = evaluate(build_plan([spec("b", 'inSegment("a")')], previous=first), state, NOBODY, None, NOW + 1)

    assert outcome.changes == (Change("a", 0, False, NOW + 1, False), Change("b", 1, False, NOW + 1, False))


def test_a_deadline_before_a_plan_change_still_fires_at_its_instant() -> None:
    text = "xEvent[timestamp occurs <= 7 days before now].count() > 0"
    first = build_plan([spec("recent", text)])
    state = after(first, buy("e1"))
    second = build_plan([spec("recent", text), spec("other", "not (x = 1)")], previous=first)

    outcome = evaluate(second, state, NOBODY, None, NOW + 9 * DAY)

    assert outcome.changes[0] == Change("recent", 1, False, NOW + 7 * DAY + 1, True)


def test_a_profile_of_a_forgotten_plan_is_judged_on_everything() -> None:
    first = build_plan([spec("a", "not (x = 1)")])
    state = evaluate(first, new_state(), NOBODY, None, NOW).state
    stranger = build_plan([spec("a", "x = 1"), spec("b", "not (y = 1)")])

    outcome = evaluate(stranger, state, NOBODY, None, NOW + 1)

    assert set(outcome.state.members) == {"b"}


def test_a_plan_says_which_leaves_lack_history() -> None:
    first = build_plan([spec("a", "xEvent.count() > 1")])
    second = build_plan([spec("a", "xEvent.count() > 2"), spec("b", "xEvent.sum(v) > 2")], previous=first)

    assert len(first.leaves_new) == 1
    assert len(second.leaves_new) == 1
    assert len(second.leaves) == 2


def test_equal_histories_of_many_segments_are_one_leaf() -> None:
    texts = [
        'xEvent[eventType = "buy" and v > 1].count() > 1',
        'xEvent[v > 1][eventType = "buy"].count() < 5',
        'exists E from xEvent where E.v > 1 and E.eventType = "buy"',
    ]
    feature = FeatureSpec("f", compile_feature('xEvent[eventType = "buy" and v > 1].count()', PERMISSIVE))

    plan = build_plan([spec(f"s{n}", text) for n, text in enumerate(texts)], [feature])

    assert len(plan.leaves) == 1


def test_an_event_touches_only_what_it_can_change() -> None:
    texts = {f"s{n}": f'xEvent[eventType = "type{n}"].count() > 0' for n in range(100)}
    plan = build_plan([spec(name, text) for name, text in texts.items()])

    state = after(plan, Event("e1", NOW, "type7", {}))

    assert len(state.leaves) == 1
    assert set(state.members) == {"s7"}


def test_an_event_found_by_its_attribute_is_found_through_arrays_too() -> None:
    plan = build_plan([spec("s", 'xEvent[eventType = "buy" and items.sku = "Z9"].count() > 0')])

    state = after(plan, Event("e1", NOW, "buy", {"items": [{"sku": "A"}, {"sku": "Z9"}, {"sku": "Z9"}]}))

    assert set(state.members) == {"s"}


def test_ids_and_names_given_twice_are_refused() -> None:
    with pytest.raises(PlanError, match="segment id `a` is given twice"):
        build_plan([spec("a", "x = 1"), spec("a", "x = 2")])
    with pytest.raises(PlanError, match="segment name `n` is given twice"):
        build_plan([spec("a", "x = 1", name="n"), spec("b", "x = 2", name="n")])


def test_a_long_chain_of_segments_settles_in_one_step() -> None:
    links = [spec(f"s{n}", f'inSegment("s{n - 1}")') for n in range(1, 300)]
    plan = build_plan([*reversed(links), spec("s0", "xEvent.count() > 0")])

    assert len(after(plan, buy("e1")).members) == 300


def test_bytes_of_another_version_are_refused() -> None:
    with pytest.raises(UnknownStateVersion, match="rebuild it from the log"):
        decode_state(b"\x93\x01\x02\x03")
    with pytest.raises(UnknownStateVersion, match="expected 2"):
        decode_state(b"\x97\x63" + encode_state(new_state())[2:])


def test_why_shows_values_events_and_the_next_change() -> None:
    plan = build_plan([spec("s", 'tier = "gold" and xEvent[timestamp occurs <= 7 days before now].count() >= 1')])
    gold = Profile("u1", {"tier": "gold"})
    state = evaluate(plan, new_state(), gold, buy("e1"), NOW).state

    evidence = why(plan, state, gold, "s", NOW)

    assert evidence.value is True
    assert evidence.changes_at == NOW + 7 * DAY + 1
    counted = evidence.parts[1].parts[0]
    assert (counted.value, counted.events) == (1, (event_hash("e1"),))
    assert '"gold"  ←  tier' in str(evidence)
    with pytest.raises(PlanError, match="no segment `x`"):
        why(plan, state, gold, "x", NOW)


def test_explain_names_index_bound_and_last_change() -> None:
    text = 'xEvent[eventType = "buy" and sku = "A" and v > 1 and timestamp occurs <= 7 days before now].sum(v) > 5'

    found = explain(compile_segment(text, PERMISSIVE))

    assert "found by: event type buy, then sku equal to A, then the rest of its condition" in found
    assert "during [now - 7 days, now]" in found
    assert "keeps: at most 10,000 entries" in found
    assert "segments" in explain(build_plan([spec("s", text)]))


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a"), ("c", "d"), ("x", "y")])
def test_an_event_that_ties_with_the_newest_may_complete_a_sequence(names: tuple[str, str]) -> None:
    text = "chain(xEvent, timestamp, [A: WHAT(v >= 1), B: WHAT(v >= 2)])"
    plan = build_plan([spec("s", text)])
    early = Event("first", NOW - 1, "t", {"v": 1})
    ties = [Event(name, NOW, "t", {"v": value}) for name, value in zip(names, (1, 2), strict=True)]

    assert set(after(plan, early, *ties).members) == {"s"}


def test_a_segment_that_refers_by_name_to_a_removed_one_is_judged_again() -> None:
    first = build_plan([spec("a", "not (x = 1)", name="all"), spec("b", 'inSegment("all")')])
    state = evaluate(first, new_state(), NOBODY, None, NOW).state
    assert set(state.members) == {"a", "b"}

    outcome = evaluate(build_plan([spec("b", 'inSegment("all")')], previous=first), state, NOBODY, None, NOW + 1)

    assert set(outcome.state.members) == set()


def test_segments_with_equal_expressions_are_one_condition_and_enter_each_for_itself() -> None:
    first = build_plan([spec("a", "xEvent.count() >= 1")])
    state = after(first, buy("e1"))
    second = build_plan([spec("a", "xEvent.count() >= 1"), spec("b", "xEvent.count() > 0")], previous=first)
    third = build_plan([spec("a", "xEvent.count() >= 1"), spec("c", "xEvent.count() >= 1")], previous=first)

    outcome = evaluate(third, state, NOBODY, None, NOW + 1)

    assert len(second.conditions) == 2
    assert len(third.conditions) == 1
    assert third.segments[1].condition is first.segments[0].condition
    assert outcome.changes == (Change("c", 1, True, NOW + 1, False),)


def test_an_event_that_comes_with_a_new_plan_changes_what_shares_its_history_with_a_new_segment() -> None:
    chain = 'chain(xEvent, timestamp, [A: WHAT(eventType = "buy"), not N: WHAT(eventType = "return")])'
    both = spec("d", f"{chain} and not (x = 1)")
    first = build_plan([spec("a", chain), both])
    state = after(first, buy("e1"))
    assert set(state.members) == {"a", "d"}
    second = build_plan([spec("c", chain), both], previous=first)

    outcome = evaluate(second, state, NOBODY, Event("e2", NOW + 1, "return", {}), NOW + 1)

    assert set(outcome.state.members) == set()
