"""What segmentation writes is, byte for byte, what the contracts encode to."""

from random import Random

import msgspec

from services.segmentation.domain import wire
from shared import pql
from shared.contracts.codec import encode
from shared.contracts.facts import Fact, Identity
from shared.contracts.memberships import Cause, Change, Membership, ProfileMemberships, Transition
from shared.contracts.updates import ProfileUpdate
from shared.contracts.vectors import FeatureVector
from shared.kernel.ids import transition_id
from shared.runtime.stage import Record

FACT = Fact("e1", "event", "t", "p", 5, 6, "d", (Identity("Email", "a@b.c", True),), {"eventType": "x", "é": [1, None]})
ODD = 'odd "näme" \\ 100 %d'
VERSIONS = {"s": 2, ODD: 1, "gone": 7}
CHANGES = (
    pql.Change("s", 2, True, 6, False),
    pql.Change(ODD, 1, True, 3, True),
    pql.Change("gone", 0, False, 6, False),
)
BY_FACT, BY_TIME = Cause("fact", 'e"1é'), Cause("deadline", "3")
TOLD: tuple[tuple[str, int, Change, int, Cause], ...] = (
    ("s", 2, "entered", 6, BY_FACT),
    (ODD, 1, "entered", 3, BY_TIME),
    ("gone", 7, "exited", 6, BY_FACT),
)
TRANSITIONS = tuple(
    Transition(transition_id("p", id_, version, word, f"{cause.kind}:{cause.id}"), id_, version, word, at, cause)
    for id_, version, word, at, cause in TOLD
)
MEMBERSHIPS = {"s": Membership(2, 6), ODD: Membership(1, 3)}
VECTORS = (FeatureVector("v", "t", "p", "f", "h", 6, (0.5, 1.0)),)


def record(raw: bytes = b"") -> Record[Fact]:
    return Record("p", FACT, 0, 0, 0, (), raw)


def test_the_fields_are_those_of_the_contracts_in_their_order() -> None:
    assert ProfileUpdate.__struct_fields__ == wire.WireUpdate.__struct_fields__
    assert ProfileMemberships.__struct_fields__ == wire.WireMemberships.__struct_fields__


def test_memberships_and_updates_are_encoded_as_the_contracts_are() -> None:
    made = wire.transitions("p", CHANGES, BY_FACT, VERSIONS)
    changed = wire.changed("t", "p", 3, made, wire.Shown({"s": 6, ODD: 3}, VERSIONS))
    full = msgspec.structs.replace(wire.update("t", "p", 6, wire.raw_fact(record()), changed), vectors=VECTORS)
    plain = wire.update("t", "p", 6, wire.raw_fact(record()), None)
    by_time = wire.update("t", "p", 6, None, changed)

    assert encode(ProfileMemberships("t", "p", 3, TRANSITIONS, MEMBERSHIPS)) == encode(changed)
    assert encode(ProfileUpdate("t", "p", 6, FACT, TRANSITIONS, MEMBERSHIPS, VECTORS)) == encode(full)
    assert encode(ProfileUpdate("t", "p", 6, FACT)) == encode(plain)
    assert encode(ProfileUpdate("t", "p", 6, None, TRANSITIONS, MEMBERSHIPS)) == encode(by_time)


def test_what_is_shown_follows_changes_to_the_same_bytes_as_when_made_anew() -> None:
    random, members, shown = Random(7), dict[str, int](), wire.Shown({}, VERSIONS)

    for at in range(200):
        segment = random.choice(list(VERSIONS))
        entered = segment not in members
        members = members | {segment: at} if entered else {s: since for s, since in members.items() if s != segment}
        shown.follow([pql.Change(segment, VERSIONS[segment], entered, at, False)])

        assert encode(wire.Shown(members, VERSIONS).map) == encode(shown.map)


def test_a_fact_leaves_as_the_bytes_it_came_in() -> None:
    spaced = encode(FACT).replace(b'"id":"e1"', b'"id" : "e1"')

    assert spaced == bytes(wire.raw_fact(record(spaced)))
    assert ProfileUpdate("t", "p", 6, FACT) == msgspec.json.decode(
        encode(wire.update("t", "p", 6, wire.raw_fact(record(spaced)), None)), type=ProfileUpdate
    )
