"""What came out of `segment-memberships`: who is in what, who came and went, and how big segments were each midnight.

A membership record holds the profile's whole map after its changes, so the newest record of a profile tells its
memberships; transitions are counted once by their id, because outputs may repeat after a crash. A size at midnight T
counts changes by a deadline at or before T and changes by a fact strictly before T: a fact at T itself belongs to the
day that begins.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.contracts.memberships import ProfileMemberships, Transition
from shared.kernel.clock import DAY, format_instant


@dataclass(slots=True)
class Flow:
    """Transitions of one segment. `net_by_day`: entered less exited, by the first midnight (in days since 1970) at
    which they count."""

    entered: int = 0
    exited: int = 0
    net_by_day: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """Takes membership records in the order of each partition."""

    flows: defaultdict[str, Flow] = field(default_factory=lambda: defaultdict(Flow))
    transitions: int = 0
    repeats: int = 0
    _current: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _seen: set[bytes] = field(default_factory=set)

    def add(self, record: ProfileMemberships) -> None:
        """Takes one record; repeats of transitions change no count."""
        self._current[record.profile_id] = tuple(record.memberships)
        for transition in record.transitions:
            id_ = bytes.fromhex(transition.id)
            if id_ in self._seen:
                self.repeats += 1
                continue
            self._seen.add(id_)
            self._count(transition)

    def _count(self, transition: Transition) -> None:
        self.transitions += 1
        flow = self.flows[transition.segment_id]
        change = 1 if transition.change == "entered" else -1
        if change > 0:
            flow.entered += 1
        else:
            flow.exited += 1
        flow.net_by_day[first_midnight(transition.effective_at, transition.cause.kind == "deadline")] += change

    def members(self, segment: str) -> list[str]:
        """Profile ids of those in the segment now."""
        return [profile for profile, segments in self._current.items() if segment in segments]

    def sizes(self, segments: Iterable[str]) -> Mapping[str, int]:
        """How many are in each of `segments` now."""
        counts = Counter(segment for mine in self._current.values() for segment in mine)
        return {segment: counts[segment] for segment in segments}

    def series(self, segment: str, start: int, end: int) -> list[tuple[str, int]]:
        """The segment's size at each midnight (UTC) after `start` and up to `end` (µs)."""
        net = self.flows[segment].net_by_day if segment in self.flows else Counter[int]()
        first, last = start // DAY + 1, end // DAY
        size = sum(change for day, change in net.items() if day < first)
        points = []
        for day in range(first, last + 1):
            size += net[day]
            points.append((format_instant(day * DAY), size))
        return points


def first_midnight(effective_at: int, by_deadline: bool) -> int:
    """The first midnight, in days since 1970, at which a change at `effective_at` counts."""
    return -(-effective_at // DAY) if by_deadline else effective_at // DAY + 1


def members_md5(ids: Iterable[str]) -> str:
    """The md5 of ids sorted by their bytes and joined by newlines: a short way to compare sets of people."""
    joined = b"\n".join(sorted(id_.encode() for id_ in ids))
    return hashlib.md5(joined, usedforsecurity=False).hexdigest()
