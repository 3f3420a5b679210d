"""Which segments a profile is in and which it has left."""

from collections.abc import Iterable

from services.profile_store.domain.history import is_marked, mark, marked
from services.profile_store.domain.state import ProfileState, SegmentStatus
from shared.contracts.updates import ProfileUpdate
from shared.kernel.clock import DAY

EXITED_KEPT_US = 30 * DAY
"""A membership that ended is shown for this long (log time), as on the reference platform."""


def change_memberships(state: ProfileState, update: ProfileUpdate) -> tuple[list[str], list[str]]:
    """Takes over the update's map of memberships; returns the segments entered and left.

    An update whose transitions were all seen is a repeat and changes nothing: its map may be older than ours.
    """
    if not _remember(state, update):
        return [], []
    segments, now = state.segments, update.memberships or {}
    entered, left = [], []
    for segment, membership in now.items():
        held = segments.get(segment)
        if held is None or not held.realized:
            entered.append(segment)
        segments[segment] = SegmentStatus(True, membership.since, membership.version)
    ended = {t.segment_id: t for t in update.transitions if t.change == "exited" and t.segment_id not in now}
    for segment, transition in ended.items():
        segments[segment] = SegmentStatus(False, transition.effective_at, transition.segment_version)
        left.append(segment)
    # The map is the truth: what it lacks has been left, with or without a transition that says so.
    for segment in [name for name, held in segments.items() if held.realized and name not in now]:
        segments[segment] = SegmentStatus(False, update.decided_at, segments[segment].version)
        left.append(segment)
    _forget_old(segments, update.decided_at - EXITED_KEPT_US)
    return entered, left


def _remember(state: ProfileState, update: ProfileUpdate) -> bool:
    """Marks the update's transitions; returns whether any was new.

    When a whole life is told again, longer than the ring, each update finds its marks just gone, and the last one is
    the newest again. For that an update's marks are renewed together: one that stayed old would be pushed out by its
    neighbour, and from there on everything would be taken for seen.
    """
    marks = [mark(transition.id) for transition in update.transitions]
    if all(is_marked(state.transitions_seen, one) for one in marks):
        return False
    for one in marks:
        state.transitions_seen = marked(state.transitions_seen, one)
    return True


def _forget_old(segments: dict[str, SegmentStatus], before: int) -> None:
    for segment in _ended_before(segments.items(), before):
        del segments[segment]


def _ended_before(segments: Iterable[tuple[str, SegmentStatus]], before: int) -> list[str]:
    return [name for name, held in segments if not held.realized and held.since < before]
