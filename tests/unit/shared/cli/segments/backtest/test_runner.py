"""What a backtest sees at an instant, and when it looks."""

from itertools import islice

import pytest

from shared.cli.segments.backtest.events import Happening
from shared.cli.segments.backtest.runner import Backtest, Schedule
from shared.cli.segments.backtest.states import States
from shared.kernel.clock import DAY, HOUR, SECOND
from shared.pql import Change, Plan, Schema, SegmentSpec, build_plan, compile_segment


def plan_of(**segments: str) -> Plan:
    schema = Schema.permissive()
    return build_plan([SegmentSpec(name, 1, compile_segment(text, schema)) for name, text in segments.items()])


def seen(profile: str, at: int, type_: str = "view") -> Happening:
    return Happening(at, profile, f"{profile}-{at}", type_, {})


PLAN = plan_of(
    any="xEvent.count() >= 1",
    today="xEvent[timestamp occurs <= 24 hours before now].count() >= 2",
    quiet="xEvent.max(timestamp) occurs > 2 days before now",
)
EVENTS = [seen("a", 0), seen("b", 0), seen("a", HOUR), seen("a", DAY), seen("c", DAY), seen("b", 4 * DAY)]


def members(backtest: Backtest, schedule: Schedule) -> dict[int, dict[str, list[str]]]:
    return {
        snapshots[0].at: {one.segment: list(one.members) for one in snapshots}
        for snapshots in backtest.run(iter(EVENTS), schedule)
    }


def test_an_event_at_the_instant_is_not_seen_and_one_before_it_is() -> None:
    found = members(Backtest(PLAN), Schedule(at=(DAY, DAY + 1)))

    assert ["a", "b"] == found[DAY]["any"]
    assert ["a", "b", "c"] == found[DAY + 1]["any"]


def test_what_time_alone_brings_at_the_instant_is_seen() -> None:
    found = members(Backtest(PLAN), Schedule(at=(3 * DAY, 3 * DAY + 1)))

    assert ["b"] == found[3 * DAY]["quiet"]
    assert ["a", "b", "c"] == found[3 * DAY + 1]["quiet"]


def test_whether_transitions_are_wanted_and_how_many_profiles_fit_changes_no_member() -> None:
    schedule = Schedule(at=tuple(range(0, 6 * DAY, HOUR)))
    told: list[tuple[str, Change]] = []

    def tell(profile: str, changes: tuple[Change, ...]) -> None:
        told.extend((profile, change) for change in changes)

    plain = members(Backtest(PLAN), schedule)
    assert plain == members(Backtest(PLAN, tell), schedule)
    assert plain == members(Backtest(PLAN, states=States(hot_max=1)), schedule)
    assert ("b", "quiet", True, 2 * DAY + 1) in [(p, c.segment_id, c.entered, c.effective_at) for p, c in told]


def test_without_instants_the_end_of_the_data_is_looked_at() -> None:
    assert [4 * DAY + 1] == list(members(Backtest(PLAN), Schedule()))


def test_instants_without_events_have_no_members() -> None:
    (snapshots,) = Backtest(PLAN).run(iter([]), Schedule(at=(DAY,)))

    assert [("any", 0, "d41d8cd98f00b204e9800998ecf8427e")] == [
        (one.segment, len(one.members), one.md5) for one in snapshots if one.segment == "any"
    ]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(at=(3, 1, 3)), [1, 3]),
        (Schedule(every=DAY), [DAY, 2 * DAY, 3 * DAY, 4 * DAY]),
        (Schedule(every=DAY, start=SECOND), [SECOND + DAY, SECOND + 2 * DAY, SECOND + 3 * DAY, SECOND + 4 * DAY]),
        (Schedule(at=(2 * DAY,), every=DAY), [DAY, 2 * DAY]),
        (Schedule(at=(2 * DAY + 5, 7), every=DAY), [7, DAY, 2 * DAY, 2 * DAY + 5]),
    ],
)
def test_instants_are_fixed_ones_and_multiples(schedule: Schedule, expected: list[int]) -> None:
    assert expected == list(islice(schedule.instants(first=HOUR), 4))
