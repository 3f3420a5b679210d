"""Events in the order of time take shortcuts past most sequences and counts; in any other order nothing is skipped."""

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.pql import (
    Event,
    Profile,
    ProfileState,
    Schema,
    SegmentSpec,
    build_plan,
    compile_segment,
    decode_state,
    due,
    encode_state,
    evaluate,
    new_state,
)

MINUTE = 60_000_000
START = 1_700_000_000_000_000
PERMISSIVE = Schema.permissive()
NOBODY = Profile("u1", {})
_STEPS = ('eventType = "a"', 'eventType = "b"', 'eventType = "c"', "v > 1", 'eventType = "a" and v > 1')


def _definition(random: Random) -> str:
    if random.random() < 0.3:
        window = random.choice(("", f" and timestamp occurs <= {random.choice((1, 3, 9))} minutes before now"))
        return (
            f"xEvent[{random.choice(_STEPS)}{window}].count() {random.choice(('>=', '<', '='))} {random.randrange(4)}"
        )
    steps = []
    for number in range(random.choice((1, 2, 2, 3))):
        gap = random.choice(("", "", " WITHIN(2 minutes)")) if number else ""
        when = random.choice(("", "", "", " WHEN(<= 5 minutes before now)"))
        steps.append(f"S{number}: WHAT({random.choice(_STEPS)}){when}{gap}")
    for place in random.choice(((), (), (len(steps),), (len(steps),), (1,))):
        within = random.choice(("", "", " WITHIN(1 minutes)"))
        steps.insert(min(place, len(steps)), f"not N: WHAT({random.choice(_STEPS)}){within}")
    total = random.choice(("", "", ", WITHIN(4 minutes)"))
    return f"{random.choice(('', 'not '))}chain(xEvent, timestamp, [{', '.join(steps)}]{total})"


def _members(state: ProfileState) -> set[str]:
    return set(state.members)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**40))
def test_events_in_order_end_in_what_the_same_events_backwards_end_in(seed: int) -> None:
    random = Random(seed)
    texts = [_definition(random) for _ in range(12)]
    plan = build_plan([SegmentSpec(f"s{n}", 1, compile_segment(text, PERMISSIVE)) for n, text in enumerate(texts)])
    state, events, now = new_state(), [], START
    for number in range(14):
        now += random.choice((0, 0, 1, MINUTE // 2, MINUTE, 2 * MINUTE))
        events.append(Event(f"e{number}", now, random.choice("aabbcd"), {"v": random.randrange(4)}))

        state = evaluate(plan, state, NOBODY, events[-1], now).state

        backwards = new_state()
        for event in reversed(events):
            backwards = evaluate(plan, backwards, NOBODY, event, now).state
        forwards = due(plan, decode_state(encode_state(state)), NOBODY, now).state
        assert _members(due(plan, backwards, NOBODY, now).state) == _members(forwards), (number, texts, events)
    later = START + 60 * MINUTE
    assert due(plan, backwards, NOBODY, later).changes == due(plan, forwards, NOBODY, later).changes, (texts, events)
