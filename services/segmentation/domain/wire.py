"""What a decision looks like on the wire, with each part encoded once.

A fact leaves as the bytes it came in; transitions and the map of memberships stand in two records and are encoded for
both together. Field by field these are the contracts `ProfileUpdate` and `ProfileMemberships`; a test compares them.
"""

import msgspec

from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.memberships import Membership, Transition
from shared.contracts.vectors import FeatureVector
from shared.runtime.stage import Record


class WireUpdate(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A `ProfileUpdate` whose parts are JSON already."""

    tenant: str
    profile_id: str
    decided_at: int
    fact: msgspec.Raw | None = None
    transitions: msgspec.Raw | tuple[()] = ()
    memberships: msgspec.Raw | None = None
    vectors: tuple[FeatureVector, ...] = ()
    schema_version: int = 1


class WireMemberships(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A `ProfileMemberships` whose parts are JSON already."""

    tenant: str
    profile_id: str
    sequence: int
    transitions: msgspec.Raw
    memberships: msgspec.Raw
    schema_version: int = 1


def changed(
    tenant: str,
    profile_id: str,
    sequence: int,
    transitions: tuple[Transition, ...],
    memberships: dict[str, Membership],
) -> WireMemberships:
    """Returns the membership record of a change; its parts serve the update that goes with it, too."""
    parts = msgspec.Raw(encode(transitions)), msgspec.Raw(encode(memberships))
    return WireMemberships(tenant, profile_id, sequence, *parts)


def update(
    tenant: str, profile_id: str, decided_at: int, fact: msgspec.Raw | None, change: WireMemberships | None
) -> WireUpdate:
    """Returns the update of a fact, a deadline (`fact` is None), or a repeated fact that brought a change."""
    if change is None:
        return WireUpdate(tenant, profile_id, decided_at, fact)
    return WireUpdate(tenant, profile_id, decided_at, fact, change.transitions, change.memberships)


def raw_fact(record: Record[Fact]) -> msgspec.Raw:
    """The fact as it was read; encoded anew where a record was made by hand."""
    return msgspec.Raw(record.raw or encode(record.value))
