"""Pages of a profile's recent events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from services.profile_store.domain.entity import Path, event_count, select
from services.profile_store.domain.state import ProfileState, RecentEvent
from shared.kernel.clock import format_instant
from shared.kernel.errors import Reason, Rejected


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which recent events. Times in ms by event time, start inclusive, end exclusive.

    `first`: id of the event that the page begins with, from the page before.
    """

    start_ms: int | None = None
    end_ms: int | None = None
    newest_first: bool = False
    limit: int = 1_000
    first: str | None = None
    fields: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class EventPage:
    """`children` in order; `next`: id that the next page begins with; `total`: all events ever, held or not."""

    children: list[dict[str, Any]]
    next: str | None
    total: int


def event_page(profile_id: str, state: ProfileState, query: EventQuery) -> EventPage:
    """Returns a page of the events that are held whole. Raises Rejected when `first` is held no longer."""
    events = [event for event in state.recent if _within(event, query)]
    if query.newest_first:
        events.reverse()
    begin = _index(events, query.first)
    page, rest = events[begin : begin + query.limit], events[begin + query.limit :]
    children = [_child(profile_id, event, query.fields) for event in page]
    return EventPage(children, rest[0].id if rest else None, event_count(state))


def _within(event: RecentEvent, query: EventQuery) -> bool:
    at_ms = event.occurred_at // 1000
    return (query.start_ms is None or at_ms >= query.start_ms) and (query.end_ms is None or at_ms < query.end_ms)


def _index(events: list[RecentEvent], first: str | None) -> int:
    if first is None:
        return 0
    for index, event in enumerate(events):
        if event.id == first:
            return index
    raise Rejected(
        f"event {first!r} is not among the recent events of this profile (any more); ask again without `start`",
        Reason.INVALID,
    )


def _child(profile_id: str, event: RecentEvent, fields: Sequence[Path]) -> dict[str, Any]:
    # Unfiltered bodies are copied into the answer as they were kept.
    body: Any = select(msgspec.json.decode(event.body), fields) if fields else msgspec.Raw(event.body)
    return {
        "relatedEntityId": profile_id,
        "entityId": event.id,
        "sources": [event.dataset_id] if event.dataset_id else [],
        "timestamp": event.occurred_at // 1000,
        "entity": body,
        "lastModifiedAt": format_instant(event.received_at),
    }
