"""What segmentation hands to the profile store: a fact together with what was decided on it."""

import msgspec

from shared.contracts.facts import Fact
from shared.contracts.memberships import Membership, Transition
from shared.contracts.vectors import FeatureVector


class ProfileUpdate(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fact, or one deadline (`fact` is None), with its decisions, so that no reader sees undecided data.

    `decided_at`: log time of the decision, µs. `memberships` is the profile's whole map, set when `transitions` is.
    """

    tenant: str
    profile_id: str
    decided_at: int
    fact: Fact | None = None
    transitions: tuple[Transition, ...] = ()
    memberships: dict[str, Membership] | None = None
    vectors: tuple[FeatureVector, ...] = ()
    schema_version: int = 1
