"""What is kept of a profile's events: counts by type, the newest bodies, identities, and marks of what was seen.

Everything here is bounded, so that no profile, however busy, makes its own updates slow.
"""

from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b
from operator import attrgetter

import msgspec

from services.profile_store.domain.state import Activity, ProfileState, RecentEvent
from shared.contracts.facts import Fact, Identity
from shared.kernel.ids import PROFILE_ID_NAMESPACE

RECENT_EVENTS_MAX = 20
RECENT_BYTES_MAX = 256 * 1024
EVENT_TYPES_MAX = 200
IDENTITIES_MAX = 50
DATASETS_MAX = 50
MARKS_MAX = 1_024

OTHER_TYPES = "*"
"""Counts events of all types beyond `EVENT_TYPES_MAX`."""

_MARK_BYTES = 8
_encode = msgspec.json.Encoder().encode
_position = attrgetter("occurred_at", "id")


def mark(id_: str) -> bytes:
    """Returns eight bytes that stand for an id, so that 1,024 of them fit in 8 KiB."""
    return blake2b(id_.encode(), digest_size=_MARK_BYTES).digest()


def is_marked(ring: bytes, mark: bytes) -> bool:
    """Tells whether the ring holds the mark; what straddles two marks does not count."""
    return _place(ring, mark) >= 0


def is_full(ring: bytes) -> bool:
    """Tells whether marks have left the ring."""
    return len(ring) >= MARKS_MAX * _MARK_BYTES


def marked(ring: bytes, mark: bytes) -> bytes:
    """Returns the ring with the mark as its newest; the oldest leaves when it is full and does not hold the mark."""
    at = _place(ring, mark)
    if at < 0 and is_full(ring):
        at = 0
    return ring + mark if at < 0 else ring[:at] + ring[at + _MARK_BYTES :] + mark


def _place(ring: bytes, mark: bytes) -> int:
    """Where the ring holds the mark, -1 if it does not."""
    at = ring.find(mark)
    while at >= 0 and at % _MARK_BYTES:
        at = ring.find(mark, at + 1)
    return at


def note_event(state: ProfileState, fact: Fact) -> None:
    """Counts an event and keeps its body while it is among the newest by event time."""
    type_ = fact.event_type
    activity = state.activities.get(type_)
    if activity is None and len(state.activities) >= EVENT_TYPES_MAX:
        type_ = OTHER_TYPES
        activity = state.activities.get(type_)
    at = fact.occurred_at
    if activity is None:
        state.activities[type_] = Activity(1, at, at)
    else:
        activity.count += 1
        activity.first = min(activity.first, at)
        activity.last = max(activity.last, at)
    if fact.dataset_id not in state.event_datasets and len(state.event_datasets) < DATASETS_MAX:
        state.event_datasets.append(fact.dataset_id)
    _keep_recent(state.recent, fact)


def _keep_recent(recent: list[RecentEvent], fact: Fact) -> None:
    position = (fact.occurred_at, fact.id)
    if not recent or position > _position(recent[-1]):
        index = len(recent)
    else:
        index = bisect_left(recent, position, key=_position)
        if (index == 0 and len(recent) >= RECENT_EVENTS_MAX) or _position(recent[index]) == position:
            return
    # JSON and not msgpack: a number beyond 64 bits is legal in an event.
    body = _encode(fact.body)
    recent.insert(index, RecentEvent(fact.occurred_at, fact.id, fact.received_at, fact.dataset_id, body))
    if len(recent) > RECENT_EVENTS_MAX:
        del recent[0]
    size = sum([len(event.body) for event in recent])
    while size > RECENT_BYTES_MAX and len(recent) > 1:
        size -= len(recent.pop(0).body)


def note_identities(state: ProfileState, identities: Iterable[Identity]) -> None:
    """Adds identities. Beyond the limit the oldest of the namespace with the most of them leaves."""
    for identity in identities:
        if identity.namespace == PROFILE_ID_NAMESPACE:
            continue
        held = state.identities.setdefault(identity.namespace, {})
        known = held.get(identity.id)
        if known is None or (identity.primary and not known):
            held[identity.id] = identity.primary
            if known is None and sum(map(len, state.identities.values())) > IDENTITIES_MAX:
                fullest = max(state.identities.values(), key=len)
                del fullest[next(iter(fullest))]
