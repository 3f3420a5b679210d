"""Definitions that change while facts come in end as if they had been known from the start."""

from collections import defaultdict
from itertools import accumulate
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.facts import Fact
from shared.kernel.clock import DAY, HOUR
from tests.property.backfill.world import Known, Partition, generation, known_from_the_start

EXPRESSIONS = (
    "xEvent.count() >= 2",
    'xEvent[eventType = "buy"].sum(price) > 30',
    'xEvent[eventType = "buy"].sum(price) > 60',
    'xEvent[eventType = "buy" and timestamp occurs <= 3 days before now].count() >= 1',
    'xEvent[eventType = "buy" and timestamp occurs <= 9 days before now].count() >= 2',
    'not (xEvent[eventType = "buy" and timestamp occurs <= 2 days before now].count() > 0)',
    'chain(xEvent, timestamp, [A: WHAT(eventType = "look"), B: WHAT(eventType = "buy") WITHIN(2 days)])',
    'chain(xEvent, timestamp, [A: WHAT(eventType = "look"), not B: WHAT(eventType = "buy") WITHIN(1 day)])',
    'loyalty.tier = "gold"',
    'since(loyalty.tier = "gold") occurs > 2 days before now',
    'loyalty.tier = "gold" and xEvent[eventType = "buy"].count() >= 1',
    'xEvent[eventType = "buy"].distinct(price).count() >= 2',
    'xEvent.first().eventType = "look"',
)
REFERRING = ('inSegment("a") and xEvent.count() >= 3', 'not inSegment("b")')
FEATURES = {
    "spent": 'xEvent[eventType = "buy"].sum(price)',
    "looks": 'xEvent[eventType = "look"].count()',
    "all": "xEvent.count()",
    "dearest": "xEvent.max(price)",
    "recent": "xEvent[timestamp occurs <= 5 days before now].count()",
}
"""Numbers show every event that was missed or counted twice, where a segment's threshold may hide it."""

PEOPLE = st.sampled_from(["ann", "bob", "cy", "dee", "eve"])
EVENTS = st.tuples(
    st.just("event"),
    PEOPLE,
    st.sampled_from(["buy", "look"]),
    st.integers(0, 4) | st.just(0),
    st.integers(0, 12),
    st.integers(1, 30),
)
RECORDS = st.tuples(st.just("record"), PEOPLE, st.sampled_from(["gold", "silver"]))
SEGMENTS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(EXPRESSIONS), max_size=4)
DEFINES = st.tuples(
    st.just("define"), SEGMENTS, st.none() | st.sampled_from(REFERRING), st.sets(st.sampled_from(sorted(FEATURES)))
)
READS = st.tuples(st.just("read"), st.sampled_from([1, 3, 100]))
ALLOWS = st.tuples(st.just("allow"), st.integers(1, 3))
TICKS = st.tuples(st.just("tick"), st.integers(1, 3 * DAY // HOUR))
FACTS = st.lists(EVENTS | EVENTS | RECORDS, max_size=12)
MEANWHILE = EVENTS | RECORDS | READS | ALLOWS | READS | TICKS | st.just(("crash",)) | st.just(("undo",))
PASSAGE = st.tuples(FACTS, DEFINES, st.lists(MEANWHILE))
ACTIONS = st.lists(PASSAGE.map(lambda parts: [*parts[0], parts[1], *parts[2]]), max_size=4).map(
    lambda passages: [action for passage in passages for action in passage]
)
"""Passages one after the other; one that is not over when the next begins is finished first, or given up when what it
is for is wanted no more. `undo` takes the newest definitions back."""


class Story:
    """Acts on a partition; time goes on by an hour with each fact."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.now = 100 * DAY
        self.number = 0
        self.versions: dict[str, tuple[int, str]] = {}
        self.wanted = generation({})
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.before: tuple[dict[str, str], set[str]] = {}, set()
        self.now_defined: tuple[dict[str, str], set[str]] = {}, set()

    def act(self, action: Any) -> None:
        match action:
            case "event", who, kind, days_late, repeats, price:
                self.now += HOUR
                self.number += 1
                # An id that comes again is the same event again.
                id_ = f"e{repeats}" if repeats < 4 else f"n{self.number}"
                at = self.now - days_late * DAY
                self.send(
                    Fact(f"{who}-{id_}", "event", "t", who, at, self.now, body={"eventType": kind, "price": price})
                )
            case "record", who, tier:
                self.now += HOUR
                self.number += 1
                said = {"loyalty": {"tier": tier}}
                self.send(Fact(f"r{self.number}", "record", "t", who, self.now, self.now, "crm", body=said))
            case "tick", hours:
                self.now += hours * HOUR
                self.send(Fact("tick", "tick", "t", "", self.now, self.now))
            case "define", segments, referring, features:
                named = dict(segments)
                if referring is not None and {"a", "b"} <= named.keys():
                    named["r"] = referring
                self.define(named, set(features))
            case ("undo",):
                self.define(*self.before)
            case "read", rows:
                self.partition.read(rows)
            case "allow", keys:
                self.partition.allow(keys)
            case ("crash",):
                self.partition.crash()
                self.partition.define(self.wanted)

    def send(self, fact: Fact) -> None:
        self.partition.send(fact)

    def define(self, segments: dict[str, str], features: set[str]) -> None:
        self.before, self.now_defined = self.now_defined, (segments, features)
        live: dict[str, tuple[int, str]] = {}
        for id_, text in segments.items():
            if self.versions.get(id_, (0, ""))[1] != text:
                self.counts[id_] += 1
            live[id_] = self.counts[id_], text
        self.versions = live
        self.wanted = generation(live, {name: FEATURES[name] for name in sorted(features)})
        self.partition.define(self.wanted)


def assert_exact(story: Story) -> None:
    """The partition knows and has published what definitions known from the start would have brought."""
    partition = story.partition
    expected = known_from_the_start(partition.log, story.wanted)
    found = Known(story.wanted, partition.states())
    assert expected.members() == found.members()
    assert expected.features(story.now) == found.features(story.now)
    published = partition.published()
    assert expected.members() == {id_: published.get(id_, set()) for id_ in found.states}
    if story.wanted.definitions.feature_sets:
        assert found.states.keys() <= partition.vectors().keys()
    assert_alternating(partition)


def assert_alternating(partition: Partition) -> None:
    for id_ in partition.states():
        inside: set[str] = set()
        for transition in partition.transitions(id_):
            assert (transition.change == "exited") == (transition.segment_id in inside)
            inside ^= {transition.segment_id}
        changes = [value for value in partition.memberships() if value.profile_id == id_]
        counts = accumulate(len(value.transitions) for value in changes)
        assert list(counts) == [value.sequence for value in changes]
        ids = [transition.id for transition in partition.transitions(id_)]
        assert len(set(ids)) == len(ids)


@settings(max_examples=200, deadline=None)
@given(ACTIONS, ACTIONS, st.integers(1, 3), st.sampled_from([1, 2, 1_000]))
def test_any_interleaving_of_facts_and_backfill_ends_as_if_definitions_had_been_known_from_the_start(
    before: list[Any], after: list[Any], turn_keys: int, profiles_max: int
) -> None:
    story = Story(Partition(profiles_max=profiles_max, turn_keys=turn_keys))

    for action in before:
        story.act(action)
    story.partition.finish(story.wanted)
    assert_exact(story)
    for action in after:
        if action[0] != "define":
            story.act(action)
    story.partition.finish(story.wanted)

    assert_exact(story)
