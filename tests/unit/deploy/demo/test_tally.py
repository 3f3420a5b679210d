"""Counting memberships: repeats, members, sizes at midnight, md5."""

from typing import Literal

from deploy.demo.tally import Tally, first_midnight, members_md5
from shared.contracts.memberships import Cause, Change, Membership, ProfileMemberships, Transition
from shared.kernel.clock import DAY, HOUR, parse_instant
from shared.kernel.ids import transition_id

MIDNIGHT = parse_instant("2020-12-26T00:00:00Z")


def _change(
    at: int,
    change: Change = "entered",
    cause: Literal["fact", "deadline"] = "fact",
    profile: str = "p1",
    segment: str = "carts",
) -> ProfileMemberships:
    id_ = transition_id(profile, segment, 1, change, f"{cause}:{at}")
    transition = Transition(id_, segment, 1, change, at, Cause(cause, str(at)))
    mine = {segment: Membership(1, at)} if change == "entered" else {}
    return ProfileMemberships("t", profile, 1, (transition,), mine)


def _tally(*records: ProfileMemberships) -> Tally:
    tally = Tally()
    for record in records:
        tally.add(record)
    return tally


def test_the_newest_record_of_a_profile_tells_its_memberships() -> None:
    tally = _tally(_change(1), _change(2, profile="p2"), _change(3, "exited"))

    assert ["p2"] == tally.members("carts")
    assert {"carts": 1, "none": 0} == tally.sizes(["carts", "none"])


def test_a_repeated_transition_counts_once() -> None:
    tally = _tally(_change(1), _change(1), _change(2, "exited"), _change(2, "exited"))

    assert (1, 1) == (tally.flows["carts"].entered, tally.flows["carts"].exited)
    assert (2, 2) == (tally.transitions, tally.repeats)


def test_a_fact_at_midnight_belongs_to_the_day_that_begins() -> None:
    tally = _tally(_change(MIDNIGHT), _change(MIDNIGHT - 1, profile="p2"))

    series = tally.series("carts", MIDNIGHT - HOUR, MIDNIGHT + DAY)

    assert [("2020-12-26T00:00:00Z", 1), ("2020-12-27T00:00:00Z", 2)] == series


def test_a_deadline_at_midnight_belongs_to_the_day_that_ends() -> None:
    tally = _tally(_change(MIDNIGHT - HOUR), _change(MIDNIGHT, "exited", "deadline"))

    assert [("2020-12-26T00:00:00Z", 0)] == tally.series("carts", MIDNIGHT - 2 * HOUR, MIDNIGHT)


def test_the_series_of_a_segment_nobody_entered_is_zero() -> None:
    assert [("2020-12-26T00:00:00Z", 0)] == Tally().series("carts", MIDNIGHT - 1, MIDNIGHT + HOUR)


def test_the_series_ends_with_the_last_midnight_that_has_come() -> None:
    series = Tally().series("carts", MIDNIGHT, MIDNIGHT + 2 * DAY + HOUR)

    assert ["2020-12-27T00:00:00Z", "2020-12-28T00:00:00Z"] == [instant for instant, _ in series]


def test_the_first_midnight_of_a_change_depends_on_its_cause() -> None:
    day = MIDNIGHT // DAY

    assert (day + 1, day) == (first_midnight(MIDNIGHT, False), first_midnight(MIDNIGHT, True))
    assert (day + 1, day + 1) == (first_midnight(MIDNIGHT + 1, False), first_midnight(MIDNIGHT + 1, True))


def test_the_md5_is_over_ids_in_byte_order_joined_by_newlines() -> None:
    assert "8cdeb44417f3c26826595d5820cf5700" == members_md5(["b", "a"])
    assert "d41d8cd98f00b204e9800998ecf8427e" == members_md5([])
