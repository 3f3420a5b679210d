"""One profile as segmentation keeps it, and its encoding."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared import merge, pql

_FORMAT = 1


@dataclass(slots=True)
class State:
    """Record fragments, their merged `attributes` (derived, never stored) and the engine's state.

    `sequence` counts the membership records emitted for this profile.
    """

    tenant: str
    fragments: merge.Fragments
    engine: pql.ProfileState
    sequence: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)


def new_state(tenant: str) -> State:
    return State(tenant, merge.Fragments(), pql.new_state())


class _Stored(msgspec.Struct, array_like=True):
    format: int
    tenant: str
    fragments: merge.Fragments
    engine: bytes
    sequence: int


class StateCodec:
    """State as msgpack with a format version in front; the engine's part has a version of its own."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Stored)

    def encode(self, state: State) -> bytes:
        engine = pql.encode_state(state.engine)
        return self._encoder.encode(_Stored(_FORMAT, state.tenant, state.fragments, engine, state.sequence))

    def decode(self, raw: bytes) -> State:
        stored = self._decoder.decode(raw)
        engine = pql.decode_state(stored.engine)
        return State(stored.tenant, stored.fragments, engine, stored.sequence, merge.merged(stored.fragments))
