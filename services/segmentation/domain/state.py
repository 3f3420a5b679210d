"""One profile as segmentation keeps it, and its encoding."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.segmentation.domain.wire import Shown
from shared import merge, pql

_FORMAT = 1


class Seed(msgspec.Struct, array_like=True, frozen=True):
    """What a profile needs to come over to new definitions with its next touch: their generation, the instant (µs) of
    the change, and the history they keep beyond the old ones (an encoded engine state, empty for none)."""

    generation: str
    at: int
    history: bytes


@dataclass(slots=True)
class State:
    """Record fragments, their merged `attributes` (derived, never stored) and the engine's state.

    `sequence` counts this profile's transitions. `seed` is there for moments only, while
    definitions change. `shown` follows from the engine's members and is never stored.
    """

    tenant: str
    fragments: merge.Fragments
    engine: pql.ProfileState
    sequence: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    seed: Seed | None = None
    shown: Shown | None = field(default=None, compare=False, repr=False)


def new_state(tenant: str) -> State:
    return State(tenant, merge.Fragments(), pql.new_state())


class _Stored(msgspec.Struct, array_like=True):
    format: int
    tenant: str
    fragments: merge.Fragments
    engine: bytes
    sequence: int
    seed: Seed | None = None


class StateCodec:
    """State as msgpack with a format version in front; the engine's part has a version of its own."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Stored)

    def encode(self, state: State) -> bytes:
        engine = pql.encode_state(state.engine)
        return self._encoder.encode(_Stored(_FORMAT, state.tenant, state.fragments, engine, state.sequence, state.seed))

    def decode(self, raw: bytes) -> State:
        stored = self._decoder.decode(raw)
        engine = pql.decode_state(stored.engine)
        attributes = merge.merged(stored.fragments)
        return State(stored.tenant, stored.fragments, engine, stored.sequence, attributes, stored.seed)
