"""The packed vector: what Redis holds and the edge feeds to a model without parsing.

Layout, little-endian: version (u8), zero (u8), number of features (u16), feature-set hash (16 bytes),
`as_of` (i64, µs), then the features (f32 each). The features start at a multiple of four.
"""

import struct
from dataclasses import dataclass

from shared.contracts.vectors import FeatureVector
from shared.kernel.errors import Reason, Rejected

_VERSION = 1
_HEADER = struct.Struct("<BBH16sq")

HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class PackedVector:
    """A vector read back. `payload` is little-endian float32, one per feature; `as_of` is log time in µs."""

    feature_set_hash: str
    as_of: int
    payload: bytes

    @property
    def values(self) -> tuple[float, ...]:
        return struct.unpack(f"<{len(self.payload) // 4}f", self.payload)


def pack(vector: FeatureVector) -> bytes:
    """Packs a vector. Its values must be float32 already (`vector_values`); a finite other float is rounded again."""
    identity = bytes.fromhex(vector.feature_set_hash)
    header = _HEADER.pack(_VERSION, 0, len(vector.values), identity, vector.as_of)
    return header + struct.pack(f"<{len(vector.values)}f", *vector.values)


def unpack(raw: bytes, expected_hash: str | None = None) -> PackedVector:
    """Reads a packed vector. Raises Rejected when it is not one, or was made from another feature set than expected."""
    if len(raw) < HEADER_BYTES or raw[0] != _VERSION:
        found = f"version {raw[0]}" if raw else "nothing"
        raise Rejected(f"not a packed feature vector of version {_VERSION}: found {found} in {len(raw)} bytes")
    _, _, count, identity, as_of = _HEADER.unpack_from(raw)
    if len(raw) != HEADER_BYTES + 4 * count:
        raise Rejected(f"a packed vector of {count} features has {HEADER_BYTES + 4 * count} bytes, found {len(raw)}")
    found_hash = identity.hex()
    if expected_hash is not None and found_hash != expected_hash:
        raise Rejected(
            f"the stored vector was made from feature set {found_hash}, the model expects {expected_hash}; "
            "it will match after the profile's next event, or train a model on the present feature set",
            Reason.MODEL,
        )
    return PackedVector(found_hash, as_of, raw[HEADER_BYTES:])
