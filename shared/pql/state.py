"""A profile's stream state: memberships, horizons, history leaves, the duplicate guard; and its versioned encoding."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
from cramjam import DecompressionError, lz4

from shared.pql.windows import NEVER

STATE_VERSION = 2
UNKNOWN = -(1 << 63)
"""No horizon, but a mark that the least one has to be looked for; smaller than every instant."""
GUARD_MAX = 1_024
"""Event hashes remembered per profile; a duplicate that comes after more events than this counts again."""


class UnknownStateVersion(ValueError):
    """The bytes were written by another version of the engine: rebuild the state from the log."""


@dataclass(slots=True)
class ProfileState:
    """What the engine knows of one profile. Treat it as opaque, but for `members` and `now`.

    `members` maps segment ids to the instant of entry, `horizons` the keys of conditions that time alone may change to
    when; `plan` is the key of the plan under which the profile was last evaluated (0: never), `newest` the latest time
    of an event. `earliest` is the least horizon, UNKNOWN until somebody asks.
    """

    now: int = 0
    plan: int = 0
    members: dict[str, int] = field(default_factory=dict)
    horizons: dict[int, int] = field(default_factory=dict)
    leaves: dict[int, Any] = field(default_factory=dict)
    guard: dict[int, None] = field(default_factory=dict)
    newest: int = -NEVER
    earliest: int = field(default=UNKNOWN, compare=False)

    @property
    def next_deadline(self) -> int:
        """The earliest horizon, or NEVER."""
        if self.earliest == UNKNOWN:
            self.earliest = min(self.horizons.values(), default=NEVER)
        return self.earliest

    def set_horizon(self, condition: int, until: int) -> None:
        """Note when a condition may next change by time alone; NEVER for not at all."""
        horizons = self.horizons
        if until < NEVER:
            before = horizons.get(condition)
            horizons[condition] = until
            if until <= self.earliest:
                self.earliest = until
            elif before == self.earliest:
                self.earliest = UNKNOWN
        elif condition in horizons and horizons.pop(condition) == self.earliest:
            self.earliest = UNKNOWN

    def remember(self, event: int) -> bool:
        """Note an event's hash; False if it was known."""
        guard = self.guard
        if event in guard:
            return False
        guard[event] = None
        if len(guard) > GUARD_MAX:
            del guard[next(iter(guard))]
        return True

    def remember_all(self, events: Iterable[int]) -> None:
        """Note many hashes, the newest last."""
        for event in events:
            self.remember(event)


def new_state() -> ProfileState:
    """The state of a profile never seen before."""
    return ProfileState()


def event_hash(event_id: str) -> int:
    """The 64-bit hash that stands for an event id; the same in every process."""
    try:
        raw = event_id.encode()
    except UnicodeEncodeError:
        raw = event_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "big")


_Wire = tuple[int, int, int, dict[str, int], dict[int, int], dict[int, Any], bytes, int]
COMPRESSED_FROM = 512
"""Bytes from which a state is compressed: leaves repeat the times and hashes of the same events."""
_COMPRESSED = b"\0"
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)


def encode_state(state: ProfileState) -> bytes:
    """The state as bytes: msgpack with a version in front; from COMPRESSED_FROM bytes on a zero byte, then that
    as a block of LZ4, its size in front."""
    guard = array("Q", state.guard).tobytes()
    wire: _Wire = (
        STATE_VERSION,
        state.now,
        state.plan,
        state.members,
        state.horizons,
        state.leaves,
        guard,
        state.newest,
    )
    data = _encoder.encode(wire)
    if len(data) < COMPRESSED_FROM:
        return data
    return _COMPRESSED + bytes(lz4.compress_block(data))


def decode_state(data: bytes) -> ProfileState:
    """The state from bytes; raises UnknownStateVersion if another version wrote them."""
    try:
        # msgpack of a tuple never begins with a zero byte.
        plain = bytes(lz4.decompress_block(data[1:])) if data[:1] == _COMPRESSED else data
        version = _version(plain)
        if version not in (STATE_VERSION, -1):
            raise UnknownStateVersion(f"state version {version}, expected {STATE_VERSION}; rebuild it from the log")
        _, now, plan, members, horizons, leaves, guard, newest = _decoder.decode(plain)
    except (msgspec.DecodeError, DecompressionError) as error:
        raise UnknownStateVersion(f"the bytes are no profile state ({error}); rebuild it from the log") from None
    hashes = array("Q")
    hashes.frombytes(guard)
    return ProfileState(now, plan, members, horizons, leaves, dict.fromkeys(hashes), newest)


def _version(plain: bytes) -> int:
    """The first item of the array, which every version of the state begins with; -1 if it is no such array."""
    return plain[1] if len(plain) > 1 and plain[0] >> 4 == 9 and plain[1] < 128 else -1
