"""What a person has done, as sorted lists: the questions of the oracle are counts between two bisections."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass, field

ANY = "*"
"""Stands for every event type."""

ATTRIBUTES = "@"
"""Stands for the profile's attributes."""


@dataclass(slots=True)
class Life:
    """Events by type as (occurred_at µs, quarters of a currency unit), sorted; what lies in the future has not
    happened yet. `tier` is the newest attribute."""

    events: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    first_on: dict[str, int] = field(default_factory=dict)
    tier: str = ""

    def add(self, type_: str, occurred_at: int, quarters: int, device: str) -> None:
        insort(self.events[type_], (occurred_at, quarters))
        insort(self.events[ANY], (occurred_at, quarters))
        known = self.first_on.get(device)
        self.first_on[device] = occurred_at if known is None else min(known, occurred_at)

    def count(self, type_: str, now: int, span: int | None = None) -> int:
        """Events that have happened, and not longer than `span` ago."""
        low, high = self._between(type_, now, span)
        return high - low

    def spent(self, type_: str, now: int, span: int | None = None) -> int:
        """The sum over the same events, in quarters."""
        low, high = self._between(type_, now, span)
        return sum(quarters for _, quarters in self.events[type_][low:high])

    def largest(self, type_: str, now: int) -> int:
        _, high = self._between(type_, now, None)
        return max((quarters for _, quarters in self.events[type_][:high]), default=0)

    def latest(self, now: int) -> int:
        """When the newest event happened; only to be asked when there is one."""
        _, high = self._between(ANY, now, None)
        return self.events[ANY][high - 1][0]

    def devices(self, now: int) -> int:
        return sum(first <= now for first in self.first_on.values())

    def _between(self, type_: str, now: int, span: int | None) -> tuple[int, int]:
        events = self.events.get(type_, [])
        low = 0 if span is None else bisect_left(events, (now - span, -1))
        return low, bisect_right(events, (now, 1 << 60))
