"""One profile as it is kept: everything a lookup needs, in the form that is cheapest to write.

Views that readers see (merged attributes, identity map, `segmentMembership`) are made when they are read, because a
profile changes with every event and is looked up seldom.
"""

import msgspec

from shared import merge

STAGE = "profile_store"
"""Name of the stage, of its consumer group and part of its Redis keys."""

FORMAT = 1


class RecentEvent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event held whole. Times in µs. `body` is JSON and is not parsed until somebody reads it."""

    occurred_at: int
    id: str
    received_at: int
    dataset_id: str
    body: bytes


class Activity(msgspec.Struct, array_like=True, gc=False):
    """How often a profile did one thing, and when first and last by event time (µs)."""

    count: int
    first: int
    last: int


class SegmentStatus(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Whether the profile is in a segment, since when it has been so (log time, µs), and by which version."""

    realized: bool
    since: int
    version: int


class ProfileState(msgspec.Struct, array_like=True):
    """The union view of one profile. New fields go to the end, with a default, and leave the format as it is.

    `identities`: namespace → id → whether it was ever primary. `recent`: oldest first, by event time, then id.
    `vectors`: feature set → log time of the vector that readers see. `facts_seen`, `transitions_seen`: rings of marks
    (`history.mark`), newest last. `last_modified`: newest decision, log time, µs.
    """

    format: int = FORMAT
    last_modified: int = 0
    fragments: merge.Fragments = msgspec.field(default_factory=merge.Fragments)
    identities: dict[str, dict[str, bool]] = msgspec.field(default_factory=dict)
    event_datasets: list[str] = msgspec.field(default_factory=list)
    activities: dict[str, Activity] = msgspec.field(default_factory=dict)
    recent: list[RecentEvent] = msgspec.field(default_factory=list)
    segments: dict[str, SegmentStatus] = msgspec.field(default_factory=dict)
    vectors: dict[str, int] = msgspec.field(default_factory=dict)
    facts_seen: bytes = b""
    transitions_seen: bytes = b""


class StateCodec:
    """State as msgpack arrays, a format version in front."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(ProfileState)

    def encode(self, state: ProfileState) -> bytes:
        return self._encoder.encode(state)

    def decode(self, raw: bytes) -> ProfileState:
        state = self._decoder.decode(raw)
        assert state.format == FORMAT, f"profile state has format {state.format}, this code reads {FORMAT}"
        return state
