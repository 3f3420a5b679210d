"""The oracle of the chaos runs agrees with the language's naive evaluator, and the engine with the oracle."""

from collections.abc import Iterable, Iterator
from random import Random

from services.segmentation import stream
from services.segmentation.domain.definitions import compile_definitions
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.memberships import Transition
from shared.contracts.topics import EVENTS, INBOUND, SEGMENT_MEMBERSHIPS
from shared.kernel.clock import parse_instant
from shared.runtime.driver import TopologyDriver
from tests.chaos.oracle import Move, Oracle
from tests.chaos.segments import SECOND, SEGMENTS, VIEW, WALL_RULES, WALL_SEGMENTS
from tests.chaos.workload import END, Datasets, Workload
from tests.support.naive.evaluate import NaiveEvent, World, holds

DATASETS = Datasets("events", "profiles")


def facts(seed: int, count: int, people: int) -> Iterator[Fact]:
    """A workload as ingestion would hand it on, then the tick that ends it."""
    for sent in Workload(seed, count, people, DATASETS).read():
        if sent.is_poison:
            continue
        entity = INBOUND.codec.decode(sent.value).body.xdm_entity
        is_event = "eventType" in entity
        occurred_at = parse_instant(entity["timestamp"]) if is_event else sent.received_at
        type_, dataset = ("event", DATASETS.events) if is_event else ("record", DATASETS.profiles)
        key = sent.key.decode()
        yield Fact(sent.id, type_, "default", key, occurred_at, sent.received_at, dataset, body=entity)  # type: ignore[arg-type]
    yield Fact("end", "tick", "default", "", END, END)


def folded(seed: int, count: int, people: int) -> Oracle:
    oracle = Oracle()
    for fact in facts(seed, count, people):
        oracle.fold(fact.profile_id, fact)
    oracle.end()
    return oracle


def test_the_engine_makes_the_oracles_transitions_without_any_fault() -> None:
    definitions = compile_definitions(
        [SegmentDefinition(s.id, s.id, s.text, 1) for s in SEGMENTS], (), pql.Schema.permissive()
    )
    driver = TopologyDriver(stream.stage(lambda: definitions))
    random = Random(1)
    for fact in facts(2, 12_000, 240):
        driver.send(EVENTS, fact.profile_id or None, fact, partition=0)
        if random.random() < 0.02:
            driver.settle()
    driver.settle()
    found: dict[str, list[Move]] = {}
    for written in driver.read(SEGMENT_MEMBERSHIPS):
        found.setdefault(written.value.profile_id, []).extend(moves_of(written.value.transitions))

    expected = {key: sorted(told.moves) for key, told in folded(2, 12_000, 240).profiles.items() if told.moves}
    assert expected == {key: sorted(moves) for key, moves in found.items()}


def test_the_engine_makes_the_oracles_transitions_of_people_who_view_once_and_fall_silent() -> None:
    """The wall line's segments: left and entered by time alone, whenever the view arrives within its windows."""
    definitions = compile_definitions(
        [SegmentDefinition(s.id, s.id, s.text, 1) for s in WALL_SEGMENTS], (), pql.Schema.permissive()
    )
    driver, oracle, random = TopologyDriver(stream.stage(lambda: definitions)), Oracle(WALL_RULES), Random(4)
    body = {"eventType": VIEW, "device": {"type": "phone"}}
    for number in range(400):
        at = END + number * 40_000
        viewed_at = at - random.choice((0, 1_000, 2_999_999, 3_000_000, 3_000_001, 5_000_000, 6_000_000))
        fact = Fact(f"w{number}", "event", "default", f"p{number}", viewed_at, at, body=body)
        driver.send(EVENTS, fact.profile_id, fact, partition=0)
        oracle.fold(fact.profile_id, fact)
    end = Fact("end", "tick", "default", "", END + 60 * SECOND, END + 60 * SECOND)
    driver.send(EVENTS, None, end, partition=0)
    oracle.fold("", end)
    driver.settle()
    oracle.end()

    told: dict[str, list[Move]] = {}
    for written in driver.read(SEGMENT_MEMBERSHIPS):
        told.setdefault(written.value.profile_id, []).extend(moves_of(written.value.transitions))
    assert {key: folded.moves for key, folded in oracle.profiles.items()} == told


def moves_of(transitions: Iterable[Transition]) -> Iterator[Move]:
    for t in transitions:
        yield Move(t.effective_at, f"{t.cause.kind}:{t.cause.id}", t.segment_id, t.change)


def test_the_oracle_agrees_with_the_naive_evaluator_at_every_transition_and_just_before_it() -> None:
    """A few people with some dozen events each; the naive evaluator looks at whole lives."""
    queries = {segment.id: pql.parse(segment.text) for segment in SEGMENTS}
    oracle, log = folded(3, 250, 4), list(facts(3, 250, 4))

    for key, told in oracle.profiles.items():
        members: set[str] = set()
        for move in told.moves[:60]:
            for now in (move.effective_at - 1, move.effective_at):
                if now == move.effective_at:
                    members ^= {move.segment}
                    world = world_of([fact for fact in log if fact.profile_id == key], now)
                    assert (move.segment in members) == holds(queries[move.segment], world), (key, move)
                elif not any(other.effective_at == now for other in told.moves):
                    world = world_of([fact for fact in log if fact.profile_id == key], now)
                    assert (move.segment in members) == holds(queries[move.segment], world), (key, move, "before")


def world_of(log: list[Fact], now: int) -> World:
    """What is known of a person at `now`: everything that has been received by then, the first of each id."""
    known: dict[str, Fact] = {}
    for fact in log:
        if fact.received_at <= now:
            known.setdefault(fact.id, fact)
    events = [NaiveEvent(f.id, f.occurred_at, f.event_type, f.body) for f in known.values() if f.type == "event"]
    records = [(f.received_at, {"loyalty": f.body["loyalty"]}) for f in known.values() if f.type == "record"]
    return World(now, timeline=sorted(records, key=lambda one: one[0]), events=events)
