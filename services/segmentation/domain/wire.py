"""What a decision looks like on the wire, with each part encoded once.

A fact leaves as the bytes it came in; transitions and the map of memberships stand in two records and are encoded for
both together. Field by field these are the contracts `ProfileUpdate` and `ProfileMemberships`; a test compares them.
An event may bring dozens of transitions, and a profile be in hundreds of segments: what of them does not depend on the
profile is made once per segment and version.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from shared import pql
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.memberships import Cause, Membership
from shared.contracts.vectors import FeatureVector
from shared.kernel.ids import lengthed, transition_id_of
from shared.runtime.stage import Record

_FRAGMENTS_MAX = 65_536


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


def transitions(profile_id: str, changes: Iterable[pql.Change], cause: Cause, versions: Mapping[str, int]) -> list[str]:
    """Returns each change as the JSON of a `Transition`; what time alone brought has its own instant as its cause.

    `versions`: of segments that are removed, which the changes no longer know.
    """
    profile = _TRANSITION + lengthed(profile_id)
    by_fact = _Caused(cause)
    by_time: dict[int, _Caused] = {}
    found: list[str] = []
    for change in changes:
        segment, at, caused = change.segment_id, change.effective_at, by_fact
        if change.by_time:
            caused = by_time.get(at) or by_time.setdefault(at, _Caused(Cause("deadline", str(at))))
        hashed, text = _fragment(segment, change.version or versions.get(segment, 0), change.entered)
        id_ = transition_id_of(profile + hashed + caused.hashed)
        found.append(f'{{"id":"{id_}"{text}{at}{caused.text}')
    return found


class _Caused:
    """What a cause adds to the id and to the JSON of its transitions."""

    __slots__ = ("hashed", "text")

    def __init__(self, cause: Cause) -> None:
        self.hashed = lengthed(f"{cause.kind}:{cause.id}")
        self.text = f',"cause":{encode(cause).decode()}}}'


_TRANSITION = lengthed("transition")


@lru_cache(_FRAGMENTS_MAX)
def _fragment(segment: str, version: int, entered: bool) -> tuple[bytes, str]:
    """The part of the id, and the JSON between id and instant."""
    word = "entered" if entered else "exited"
    named = f',"segment_id":{encode(segment).decode()},"segment_version":{version},"change":"{word}","effective_at":'
    return lengthed(segment) + lengthed(str(version)) + lengthed(word), named


class Shown:
    """A profile's memberships as they are told, kept while its state is in memory: the whole map goes out with every
    change, and most of it is as it was. Order and content are those of the engine's `members`."""

    __slots__ = ("map", "versions")

    def __init__(self, members: Mapping[str, int], versions: Mapping[str, int]) -> None:
        self.versions = versions
        self.map = {segment: Membership(versions.get(segment, 0), since) for segment, since in members.items()}

    def follow(self, changes: Iterable[pql.Change]) -> None:
        """Takes over changes that the members have gone through, in their order."""
        versions, shown = self.versions, self.map
        for change in changes:
            segment = change.segment_id
            if change.entered:
                shown[segment] = Membership(versions.get(segment, 0), change.effective_at)
            else:
                del shown[segment]


def changed(tenant: str, profile_id: str, sequence: int, changes: Iterable[str], shown: Shown) -> WireMemberships:
    """Returns the membership record of a change; its parts serve the update that goes with it, too."""
    parts = msgspec.Raw(f"[{','.join(changes)}]"), msgspec.Raw(encode(shown.map))
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
