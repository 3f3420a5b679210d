"""The in-memory driver behaves like the broker where stages can tell."""

from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS, PROFILE_UPDATES
from shared.runtime.driver import TopologyDriver
from tests.support.counting import Count, counting_stage


def fact(profile: str, at: int, **body: object) -> Fact:
    return Fact(f"{profile}@{at}", "event", "t", profile, at, at, body=dict(body))


def test_records_of_one_key_are_stepped_in_order_whatever_the_batch_size() -> None:
    outcomes = []
    for size in (1, 3, 1000):
        stage = counting_stage()
        driver = TopologyDriver(stage, batch_rows_max=size)
        for at in range(10):
            driver.send(EVENTS, "p", fact("p", at, amount=0.1))

        driver.settle()

        outcomes.append([written.value.decided_at for written in driver.read(PROFILE_UPDATES)])
    assert [list(range(1, 11))] * 3 == outcomes


def test_on_the_stream_clock_a_deadline_fires_only_when_later_log_time_has_been_seen() -> None:
    stage = counting_stage()
    driver = TopologyDriver(stage)
    driver.send(EVENTS, "p", fact("p", 0), partition=0)

    driver.settle()
    driver.advance_to(10_000_000)
    before = driver._kept[stage.name, 0].deadlines.copy()
    driver.send(EVENTS, "q", fact("q", 1_001), partition=0)
    driver.settle()

    assert {"p": 1_000} == before
    assert {"q": 2_001} == driver._kept[stage.name, 0].deadlines


def test_on_the_wall_clock_a_deadline_fires_when_the_clock_reaches_it() -> None:
    stage = counting_stage()
    driver = TopologyDriver(stage, stream_clock=False)
    driver.send(EVENTS, "p", fact("p", 0))

    driver.advance_to(999)
    early = driver.state(stage, "p")
    driver.advance_to(1_000)

    assert Count(events=1, last=0, rung=0) == early
    assert Count(events=1, last=0, rung=1) == driver.state(stage, "p")


def test_views_are_written_for_readers() -> None:
    stage = counting_stage()
    driver = TopologyDriver(stage)
    driver.send(EVENTS, "p", fact("p", 0))
    driver.send(EVENTS, "q", fact("q", 0))

    driver.settle()

    assert {"p", "q"} == driver.members(stage, "seen")
