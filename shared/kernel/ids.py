"""Deterministic ids: outputs may repeat after a crash, they never differ.

All ids are BLAKE2b digests over length-prefixed parts, so that ("ab", "c") and ("a", "bc") stay apart.
"""

from hashlib import blake2b
from typing import NewType

ProfileId = NewType("ProfileId", str)
"""32 lower-case hex digits; the key of every keyed topic."""

PROFILE_ID_NAMESPACE = "ProfileId"
"""Reserved identity namespace whose value is the profile id itself (used by Freshet's own facts)."""


def digest_id(*parts: str, size_bytes: int = 16) -> str:
    """Returns the hex digest of `parts`, in order."""
    return blake2b(b"".join(map(lengthed, parts)), digest_size=size_bytes).hexdigest()


def lengthed(part: str) -> bytes:
    """Returns a part of an id as it is digested: its length in bytes, then its UTF-8."""
    raw = part.encode()
    return len(raw).to_bytes(4, "big") + raw


def profile_id(tenant: str, namespace: str, value: str) -> ProfileId:
    """Derives a profile's id from its tenant and first identity.

    Namespaces compare without case (`email` is `Email`); values compare exactly.
    The reserved namespace `ProfileId` passes its value through.
    """
    if namespace == PROFILE_ID_NAMESPACE:
        return ProfileId(value)
    return ProfileId(digest_id("profile", tenant, namespace.casefold(), value))


def transition_id(profile: str, segment: str, version: int, change: str, cause: str) -> str:
    """Derives a transition's id from the profile, the segment and what caused it (a fact's id or a deadline)."""
    return digest_id("transition", profile, segment, str(version), change, cause)


def transition_id_of(lengthed_parts: bytes) -> str:
    """As `transition_id`, of "transition" and its five parts, each `lengthed`, one after the other: the
    many transitions of one fact share most of theirs.

    >>> parts = ("transition", "p", "s", "1", "entered", "fact:e")
    >>> transition_id_of(b"".join(map(lengthed, parts))) == transition_id("p", "s", 1, "entered", "fact:e")
    True
    """
    return blake2b(lengthed_parts, digest_size=16).hexdigest()


def score_id(profile: str, vector: str, model: str, version: int) -> str:
    """Derives a score's id, so that a vector scored twice by one model version is one fact."""
    return digest_id("score", profile, vector, model, str(version))
