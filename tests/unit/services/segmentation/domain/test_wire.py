"""What segmentation writes is, byte for byte, what the contracts encode to."""

import msgspec

from services.segmentation.domain import wire
from shared.contracts.codec import encode
from shared.contracts.facts import Fact, Identity
from shared.contracts.memberships import Cause, Membership, ProfileMemberships, Transition
from shared.contracts.updates import ProfileUpdate
from shared.contracts.vectors import FeatureVector
from shared.runtime.stage import Record

FACT = Fact("e1", "event", "t", "p", 5, 6, "d", (Identity("Email", "a@b.c", True),), {"eventType": "x", "é": [1, None]})
TRANSITIONS = (Transition("t1", "s", 2, "entered", 6, Cause("fact", "e1")),)
MEMBERSHIPS = {"s": Membership(2, 6), 'odd "name"': Membership(1, 3)}
VECTORS = (FeatureVector("v", "t", "p", "f", "h", 6, (0.5, 1.0)),)


def record(raw: bytes = b"") -> Record[Fact]:
    return Record("p", FACT, 0, 0, 0, (), raw)


def test_the_fields_are_those_of_the_contracts_in_their_order() -> None:
    assert ProfileUpdate.__struct_fields__ == wire.WireUpdate.__struct_fields__
    assert ProfileMemberships.__struct_fields__ == wire.WireMemberships.__struct_fields__


def test_memberships_and_updates_are_encoded_as_the_contracts_are() -> None:
    changed = wire.changed("t", "p", 3, TRANSITIONS, MEMBERSHIPS)
    full = msgspec.structs.replace(wire.update("t", "p", 6, wire.raw_fact(record()), changed), vectors=VECTORS)
    plain = wire.update("t", "p", 6, wire.raw_fact(record()), None)
    by_time = wire.update("t", "p", 6, None, changed)

    assert encode(ProfileMemberships("t", "p", 3, TRANSITIONS, MEMBERSHIPS)) == encode(changed)
    assert encode(ProfileUpdate("t", "p", 6, FACT, TRANSITIONS, MEMBERSHIPS, VECTORS)) == encode(full)
    assert encode(ProfileUpdate("t", "p", 6, FACT)) == encode(plain)
    assert encode(ProfileUpdate("t", "p", 6, None, TRANSITIONS, MEMBERSHIPS)) == encode(by_time)


def test_a_fact_leaves_as_the_bytes_it_came_in() -> None:
    spaced = encode(FACT).replace(b'"id":"e1"', b'"id" : "e1"')

    assert spaced == bytes(wire.raw_fact(record(spaced)))
    assert ProfileUpdate("t", "p", 6, FACT) == msgspec.json.decode(
        encode(wire.update("t", "p", 6, wire.raw_fact(record(spaced)), None)), type=ProfileUpdate
    )
