"""Segment memberships and their changes."""

from typing import Literal

import msgspec

Change = Literal["entered", "exited"]


class Cause(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What made a membership change: a fact (by id), a deadline (its instant in µs) or a definition (its id)."""

    kind: Literal["fact", "deadline", "definition"]
    id: str


class Transition(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One change of one profile's membership. `effective_at` is log time in µs: the cause's `received_at`,
    or exactly the deadline when time alone brought it. Repeats carry the same `id`."""

    id: str
    segment_id: str
    segment_version: int
    change: Change
    effective_at: int
    cause: Cause


class Membership(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A profile is in a segment since `since` (µs), by definition version `version`."""

    version: int
    since: int


class ProfileMemberships(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The value of `segment-memberships`: what just changed, and the whole map of what the profile is in now,
    so that compaction by profile loses no segment. `sequence` numbers a profile's transitions without holes; it is
    that of the last one here."""

    tenant: str
    profile_id: str
    sequence: int
    transitions: tuple[Transition, ...]
    memberships: dict[str, Membership]
    schema_version: int = 1
