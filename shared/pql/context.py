"""What a compiled expression sees while it is evaluated: one profile at one instant, and the horizon of the answer.

Everything that depends on time goes through a method here, which lowers `until` to the first instant at which its own
answer may change. What `and`, `or` and `if` do not evaluate cannot matter before something evaluated changes, so the
horizon of the whole is the least of what was evaluated.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from shared.pql.instants import to_instant
from shared.pql.leaves.base import Leaf
from shared.pql.windows import MISSING, NEVER, MovingBound


class Context:
    """One profile at one instant. `until` is reset by the caller before each expression."""

    __slots__ = ("attributes", "id", "lists", "members", "now", "segments", "states", "until")

    def __init__(
        self,
        profile_id: str,
        attributes: Mapping[str, Any],
        lists: frozenset[str],
        states: dict[int, Any],
        members: Mapping[str, int],
        segments: Mapping[str, str],
        now: int,
    ) -> None:
        self.id = profile_id
        self.attributes = attributes
        self.lists = lists
        self.states = states
        self.members = members
        self.segments = segments
        self.now = now
        self.until = NEVER

    def read(self, leaf: Leaf) -> Any:
        """The value of a history leaf."""
        value, until = leaf.read(self.states, self.now)
        if until < self.until:
            self.until = until
        return value

    def since(self, key: int) -> int | None:
        """Since when a condition on attributes has held; null while it does not."""
        state: int | None = self.states.get(key)
        return state

    def in_segment(self, reference: str) -> bool:
        """Membership by id or name; a segment nobody defined has no members."""
        return self.segments.get(reference, reference) in self.members

    def in_list(self, name: str) -> bool:
        """Membership in a static list."""
        return name in self.lists

    def bucket(self, salt: str) -> int:
        """A stable number from 0 to 99 drawn from the profile's id."""
        digest = blake2b(f"{salt}\0{self.id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % 100

    def moving(self, bound: MovingBound) -> int:
        """A bound that moves with now, as a value."""
        value = bound.value(self.now)
        self._limit(bound.next_above(value, self.now))
        return value

    def anchored(self, anchor: Any, bound: MovingBound) -> Any:
        """A bound relative to a value of the profile or an event; `MISSING` if that is no instant."""
        instant = to_instant(anchor)
        return bound.value(instant) if instant.__class__ is int else MISSING

    def inside(self, subject: Any, windows: tuple[tuple[Any, Any], ...]) -> bool:
        """Tell whether an instant, or one of several, lies in one of the closed intervals."""
        if subject.__class__ is int:
            return any(self._between(subject, low, high) for low, high in windows)
        if subject.__class__ is list:
            return any(self.inside(item, windows) for item in subject)
        return False

    def _between(self, instant: int, low: Any, high: Any) -> bool:
        if low is MISSING or high is MISSING:
            return False
        if low.__class__ is MovingBound:
            if instant < low.value(self.now):
                return False
            self._limit(low.next_above(instant, self.now))
        elif low is not None and instant < low:
            return False
        if high.__class__ is MovingBound:
            if instant <= high.value(self.now):
                return True
            self._limit(high.next_above(instant - 1, self.now))
            return False
        return high is None or bool(instant <= high)

    def _limit(self, until: int) -> None:
        if until < self.until:
            self.until = until


STILL = Context("", {}, frozenset(), {}, {}, {}, 0)
"""The context of conditions that need no profile and no now: it answers questions about fixed intervals only."""
