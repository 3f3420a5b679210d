"""Segmentation's pure step, on the in-memory driver: facts in, decisions out."""

from services.segmentation import stream
from services.segmentation.domain.definitions import Definitions, compile_definitions
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.memberships import ProfileMemberships, Transition
from shared.contracts.topics import EVENTS, FEATURE_VECTORS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition
from shared.kernel.clock import DAY, HOUR
from shared.runtime.driver import TopologyDriver

PURCHASE = "commerce.purchases"

BOUGHT_TWICE = 'xEvent[eventType = "commerce.purchases"].count() >= 2'
BOUGHT_THIS_WEEK = 'xEvent[eventType = "commerce.purchases" and timestamp occurs <= 7 days before now].count() > 0'
SPENT = FeatureSetDefinition(
    "shop", 1, (FeatureDefinition("spent", 'xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal)'),)
)


def definitions(*features: FeatureSetDefinition, **segments: str) -> Definitions:
    """Compiled definitions; a segment's id is its name."""
    compiled = [SegmentDefinition(name, name, expression, 1) for name, expression in segments.items()]
    return compile_definitions(compiled, features, pql.Schema.permissive())


class Stream:
    """A stage under the driver, with everything in partition 0."""

    def __init__(self, running: Definitions) -> None:
        self.running = running
        self.stage = stream.stage(lambda: self.running)
        self.driver = TopologyDriver(self.stage)

    def event(self, id_: str, at: int, type_: str = PURCHASE, profile: str = "p", price: float = 10.0) -> None:
        body = {"eventType": type_, "commerce": {"order": {"priceTotal": price}}}
        self.send(Fact(id_, "event", "t", profile, at, at, body=body))

    def send(self, fact: Fact) -> None:
        self.driver.send(EVENTS, fact.profile_id or None, fact, partition=0)
        self.driver.settle()

    def tick(self, at: int) -> None:
        self.send(Fact("tick", "tick", "t", "", at, at))

    def memberships(self) -> list[ProfileMemberships]:
        return [written.value for written in self.driver.read(SEGMENT_MEMBERSHIPS)]

    def transitions(self) -> list[Transition]:
        return [transition for value in self.memberships() for transition in value.transitions]

    def changes(self) -> list[tuple[str, str, int]]:
        return [(t.segment_id, t.change, t.effective_at) for t in self.transitions()]


def test_a_profile_enters_with_the_event_that_fulfils_the_condition() -> None:
    run = Stream(definitions(twice=BOUGHT_TWICE))

    run.event("e1", 1 * HOUR)
    run.event("e2", 2 * HOUR)

    assert [("twice", "entered", 2 * HOUR)] == run.changes()
    assert "e2" == run.transitions()[0].cause.id


def test_an_event_sent_twice_counts_once() -> None:
    run = Stream(definitions(twice=BOUGHT_TWICE))

    run.event("e1", 1 * HOUR)
    run.event("e1", 1 * HOUR)

    assert [] == run.changes()
    assert 1 == len(run.driver.read(PROFILE_UPDATES))


def test_time_alone_ends_a_membership_one_microsecond_after_the_window() -> None:
    run = Stream(definitions(week=BOUGHT_THIS_WEEK))

    run.event("e1", 0)
    run.tick(7 * DAY)
    still_in = run.changes()
    run.tick(7 * DAY + 1)

    assert [("week", "entered", 0)] == still_in
    assert ("week", "exited", 7 * DAY + 1) == run.changes()[-1]
    assert "deadline" == run.transitions()[-1].cause.kind


def test_a_deadline_that_the_next_event_finds_past_fires_at_its_own_instant() -> None:
    """Whether the clock or the next record brings it: the transitions are the same, ids included."""
    by_clock, by_event = Stream(definitions(week=BOUGHT_THIS_WEEK)), Stream(definitions(week=BOUGHT_THIS_WEEK))

    by_clock.event("e1", 0)
    by_clock.tick(8 * DAY)
    by_clock.event("e2", 10 * DAY)
    by_event.event("e1", 0)
    by_event.event("e2", 10 * DAY)

    assert by_clock.transitions() == by_event.transitions()
    assert ["entered", "exited", "entered"] == [t.change for t in by_clock.transitions()]


def test_each_fact_leaves_together_with_what_was_decided_on_it() -> None:
    run = Stream(definitions(week=BOUGHT_THIS_WEEK))

    run.event("e1", 5)

    (written,) = run.driver.read(PROFILE_UPDATES)
    assert "e1" == written.value.fact.id
    assert ["week"] == [transition.segment_id for transition in written.value.transitions]
    assert {"week"} == set(written.value.memberships)


def test_the_public_record_carries_all_memberships_so_that_compaction_loses_none() -> None:
    run = Stream(definitions(any=BOUGHT_THIS_WEEK, twice=BOUGHT_TWICE))

    run.event("e1", 1)
    run.event("e2", 2)

    assert [{"any"}, {"any", "twice"}] == [set(value.memberships) for value in run.memberships()]
    assert [1, 2] == [value.sequence for value in run.memberships()]


def test_a_score_drives_a_segment_and_makes_no_new_vector() -> None:
    run = Stream(definitions(SPENT, likely="_freshet.propensity >= 0.5"))

    run.event("e1", 1)
    run.send(Fact("s1", "score", "t", "p", 2, 2, body={"_freshet": {"propensity": 0.7}}))

    assert [("likely", "entered", 2)] == run.changes()
    assert 1 == len(run.driver.read(FEATURE_VECTORS))


def test_one_batch_emits_one_vector_per_profile_as_of_its_last_event() -> None:
    run = Stream(definitions(SPENT))
    for number in range(3):
        body = {"eventType": PURCHASE, "commerce": {"order": {"priceTotal": 10.0}}}
        fact = Fact(f"e{number}", "event", "t", "p", number, number, body=body)
        run.driver.send(EVENTS, "p", fact, partition=0)

    run.driver.settle()

    (vector,) = run.driver.read(FEATURE_VECTORS)
    assert (30.0,) == vector.value.values
    assert 2 == vector.value.as_of
    assert [0, 0, 1] == [len(written.value.vectors) for written in run.driver.read(PROFILE_UPDATES)]


def test_a_segment_of_segments_follows_in_the_same_step() -> None:
    run = Stream(
        definitions(a='homeAddress.countryCode = "KR"', b=BOUGHT_THIS_WEEK, both='inSegment("a") and inSegment("b")')
    )

    run.send(Fact("r1", "record", "t", "p", 1, 1, body={"homeAddress": {"countryCode": "KR"}}))
    run.event("e1", 2)

    assert {("b", "entered", 2), ("both", "entered", 2)} == set(run.changes()[1:])


def test_a_removed_segment_is_left_with_the_next_fact() -> None:
    run = Stream(definitions(week=BOUGHT_THIS_WEEK))
    run.event("e1", 1)

    run.running = compile_definitions((), (), pql.Schema.permissive(), run.running)
    run.event("e2", 2)

    assert ("week", "exited", 2) == run.changes()[-1]
    assert {} == run.memberships()[-1].memberships


def test_state_survives_its_codec_between_any_two_records() -> None:
    """The driver encodes after every batch; one batch of all records must decide the same."""
    many = Stream(definitions(SPENT, twice=BOUGHT_TWICE, week=BOUGHT_THIS_WEEK))
    for number in range(20):
        many.event(f"e{number}", number * DAY)
    one = Stream(many.running)
    for number in range(20):
        body = {"eventType": PURCHASE, "commerce": {"order": {"priceTotal": 10.0}}}
        fact = Fact(f"e{number}", "event", "t", "p", number * DAY, number * DAY, body=body)
        one.driver.send(EVENTS, "p", fact, partition=0)
    one.driver.settle()

    assert many.transitions() == one.transitions()
