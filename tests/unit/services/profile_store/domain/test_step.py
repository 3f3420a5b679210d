"""The step merges each decision once, keeps what is bounded bounded, and writes views that agree with the state."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.profile_store.domain import history
from services.profile_store.domain.state import ProfileState, SegmentStatus, StateCodec
from shared import merge
from shared.contracts.facts import Identity
from shared.contracts.updates import ProfileUpdate
from shared.features import unpack
from shared.kernel.errors import Reason
from tests.unit.services.profile_store.builders import (
    DAY_0,
    KEY,
    days,
    email,
    fact,
    moved,
    profile,
    run,
    transition,
    update,
    vector,
    views,
)


def test_records_merge_and_events_are_counted_by_type() -> None:
    state = profile(
        update(fact("r1", {"person": {"name": "Ann"}}, "record", dataset_id="crm")),
        update(fact("e1", {"eventType": "view"}, at=days(2))),
        update(fact("e2", {"eventType": "view"}, at=days(1))),
        update(fact("s1", {"_freshet": {"propensity": 0.5}}, "score", at=days(3))),
    )

    activity = state.activities["view"]
    assert merge.merged(state.fragments) == {"person": {"name": "Ann"}, "_freshet": {"propensity": 0.5}}
    assert (activity.count, activity.first, activity.last) == (2, days(1), days(2))
    assert [event.id for event in state.recent] == ["e2", "e1"]
    assert state.last_modified == days(3)


def test_a_fact_that_is_delivered_again_is_not_counted_again() -> None:
    first = update(fact("e1", {"eventType": "view"}))
    state = profile(first)

    again = run(first, first, state=state).states[KEY]

    assert again.activities["view"].count == 1
    assert len(again.recent) == 1


@given(cut=st.integers(0, 39), seed=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_a_repeated_suffix_of_updates_leaves_the_same_profile(cut: int, seed: object) -> None:
    assert hasattr(seed, "choice")
    updates: list[ProfileUpdate] = []
    inside: dict[str, int] = {}
    for number in range(40):
        at, segment = days(0) + number, seed.choice("abc")
        change = transition(segment, "exited" if segment in inside else "entered", at)
        if inside.pop(segment, None) is None:
            inside[segment] = at
        of = fact(f"f{number}", {"eventType": segment}, at=at)
        updates.append(moved(at, dict(inside), change, of=of))

    once = profile(*updates)
    twice = run(*updates[cut:], state=profile(*updates)).states[KEY]

    assert StateCodec().encode(twice) == StateCodec().encode(once)


def test_only_the_newest_twenty_events_by_event_time_are_kept_whole() -> None:
    state = profile(*(update(fact(f"e{day:02}", at=days(day))) for day in (*range(10, 40), 0, 39)))

    assert [event.id for event in state.recent] == [f"e{day:02}" for day in range(20, 40)]
    assert state.activities[""].count == 31


def test_bodies_too_big_to_keep_twenty_push_out_the_oldest() -> None:
    big = {"text": "x" * 60_000}

    state = profile(*(update(fact(f"e{day}", big, at=days(day))) for day in range(9)))

    assert [event.id for event in state.recent] == ["e5", "e6", "e7", "e8"]


def test_event_types_beyond_the_limit_are_counted_together() -> None:
    facts = [fact(f"e{n}", {"eventType": f"type {n}"}) for n in range(history.EVENT_TYPES_MAX + 5)]

    state = profile(*map(update, facts))

    assert len(state.activities) == history.EVENT_TYPES_MAX + 1
    assert state.activities[history.OTHER_TYPES].count == 5


def test_identities_of_events_are_united_and_the_oldest_leave_beyond_the_limit() -> None:
    many = [fact(f"e{n}", identities=(email(f"{n}@x.org"), Identity("ProfileId", KEY))) for n in range(60)]

    state = profile(update(fact("e", identities=(Identity("ECID", "1", True),))), *map(update, many))

    assert state.identities["ECID"] == {"1": True}
    assert list(state.identities["Email"]) == [f"{n}@x.org" for n in range(11, 60)]
    assert "ProfileId" not in state.identities


def test_entering_and_leaving_a_segment_changes_the_members_and_the_status() -> None:
    entered = run(moved(days(1), {"a": days(1)}, transition("a", "entered", days(1))))
    state = entered.states[KEY]

    left = run(moved(days(2), {}, transition("a", "exited", days(2))), state=state)

    assert views(entered) == [("add", "members:a")]
    assert views(left) == [("remove", "members:a")]
    assert left.views[0].value == KEY.encode()
    assert left.states[KEY].segments == {"a": SegmentStatus(False, days(2), 1)}


def test_only_the_last_write_of_a_batch_to_a_view_leaves_it() -> None:
    effects = run(
        moved(1, {"a": 1}, transition("a", "entered", 1)),
        moved(2, {}, transition("a", "exited", 2)),
        update(fact("e1"), vectors=(vector(3, 1.0),)),
        update(fact("e2"), vectors=(vector(4, 2.0),)),
    )

    assert views(effects) == [("remove", "members:a"), ("set", f"vector:shop:{KEY}")]
    assert unpack(effects.views[1].value).values == (2.0,)


def test_the_map_of_memberships_heals_what_transitions_did_not_say() -> None:
    state = profile(moved(1, {"a": 1, "b": 1}, transition("a", "entered", 1)))

    effects = run(moved(days(1), {"b": 1, "c": days(1)}, transition("c", "entered", days(1))), state=state)

    assert set(views(effects)) == {("remove", "members:a"), ("add", "members:c")}
    assert effects.states[KEY].segments["a"] == SegmentStatus(False, days(1), 1)


def test_a_membership_that_ended_is_shown_for_thirty_days() -> None:
    state = profile(
        moved(days(0), {"a": days(0)}, transition("a", "entered")),
        moved(days(1), {}, transition("a", "exited", days(1))),
    )

    before = run(moved(days(31), {"b": days(31)}, transition("b", "entered", days(31))), state=state)
    assert set(before.states[KEY].segments) == {"a", "b"}
    after = run(moved(days(32), {}, transition("b", "exited", days(32))), state=before.states[KEY])

    assert set(after.states[KEY].segments) == {"b"}


def test_exits_by_time_come_without_a_fact() -> None:
    state = profile(moved(days(0), {"a": days(0)}, transition("a", "entered"), of=fact("e1")))

    after = run(moved(days(7), {}, transition("a", "exited", days(7))), state=state).states[KEY]

    assert not after.segments["a"].realized
    assert after.last_modified == days(7)
    assert after.activities[""].count == 1


def test_a_repeated_fact_does_not_bring_an_older_vector_back() -> None:
    first = update(fact("e1"), vectors=(vector(5, 1.0),))
    state = profile(first, update(fact("e2"), vectors=(vector(9, 2.0),)))

    effects = run(first, state=state)

    assert effects.views == []


def test_an_update_under_a_foreign_key_is_rejected_and_changes_nothing() -> None:
    effects = run(update(fact("e1")), key="other")

    assert effects.states == {}
    assert effects.rejections[0].error.reason == Reason.ENVELOPE
    assert "'other'" in effects.rejections[0].error.message


def test_transitions_without_the_map_are_rejected_instead_of_emptying_it() -> None:
    effects = run(update(transitions=(transition("a", "entered"),)))

    assert (effects.states, len(effects.rejections)) == ({}, 1)


def test_numbers_beyond_64_bits_are_kept_in_events_and_refused_in_attributes() -> None:
    huge = {"number": 10**30}

    effects = run(update(fact("e1", huge)), update(fact("r1", huge, "record")))

    assert str(10**30).encode() in effects.states[KEY].recent[0].body
    assert [rejection.record.offset for rejection in effects.rejections] == [1]


def test_the_state_survives_its_codec() -> None:
    codec = StateCodec()
    state = profile(
        update(fact("r1", {"person": {"name": "Ann"}}, "record", identities=(email("a@x.org", True),))),
        moved(days(1), {"a": days(1)}, transition("a", "entered", days(1)), of=fact("e1", {"eventType": "view"})),
    )

    read = codec.decode(codec.encode(state))

    assert read == state
    assert isinstance(read, ProfileState)


def test_a_mark_that_straddles_two_others_is_not_in_the_ring() -> None:
    ring = b"aaaabbbbccccdddd"

    assert history.is_marked(ring, b"aaaabbbb")
    assert not history.is_marked(ring, b"bbbbcccc")


def test_the_oldest_mark_leaves_a_full_ring() -> None:
    ring = b""
    for number in range(history.MARKS_MAX + 1):
        ring = history.marked(ring, history.mark(str(number)))

    assert len(ring) == 8 * history.MARKS_MAX
    assert not history.is_marked(ring, history.mark("0"))
    assert history.is_marked(ring, history.mark("1"))


def test_a_whole_life_that_comes_again_is_not_counted_again_however_long_it_is() -> None:
    """After a total loss of Redis segmentation repeats everything, more than the ring of marks holds."""
    life = [update(fact(f"e{n}", {"eventType": "view"}, at=DAY_0 + n)) for n in range(3 * history.MARKS_MAX)]
    state = profile(*life)

    again = run(*life, state=state).states[KEY]

    assert again.activities["view"].count == len(life)


@pytest.mark.parametrize("over", range(-1, 7))
def test_memberships_are_the_newest_after_a_life_that_comes_again_however_many_changes_it_has(over: int) -> None:
    """Updates change one to three segments; the life is told again and again, and not always to its end."""
    random, life, inside = Random(over), list[ProfileUpdate](), dict[str, int]()
    left = history.MARKS_MAX + over
    while left:
        at = DAY_0 + len(life)
        changes = random.sample("abcdef", min(left, random.randrange(1, 4)))
        told = [transition(name, "exited" if name in inside else "entered", at) for name in changes]
        inside = {
            **{s: v for s, v in inside.items() if s not in changes},
            **{s: at for s in changes if s not in inside},
        }
        life.append(moved(at, dict(inside), *told))
        left -= len(changes)
    state = profile(*life)
    expected = dict(state.segments)

    for _ in range(8):
        state = run(*life[: random.randrange(len(life))], state=state).states.get(KEY, state)
        state = run(*life, state=state).states[KEY]
        assert state.segments == expected
