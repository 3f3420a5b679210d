"""Histories of one slice of a partition's profiles, built by reading the log again from its start."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from zlib import crc32

from services.segmentation.domain.applying import apply_fact, remember_attributes
from services.segmentation.domain.profiles import ProfileStates
from services.segmentation.domain.state import State, new_state
from shared import pql
from shared.contracts.facts import Fact
from shared.kernel.errors import Rejected

HASHES = 1 << 32
"""Profiles are cut into slices by a hash of their id, independent of the one that chose their partition."""


_RECENT_ROWS_MAX = 8_192


def slice_hash(profile_id: str) -> int:
    return crc32(profile_id.encode())


class Replay:
    """What a plan keeps of the profiles whose hash lies in [low, high), as of every offset before `next`.

    Memory is bounded: with more than `profiles_max` profiles the slice is halved, and the upper half comes later.
    Rows read ahead wait until the partition has stepped them. Once `in_step`, the step itself feeds the replay.
    """

    def __init__(self, plan: pql.Plan, low: int, start: int, profiles_max: int) -> None:
        self.low, self.high = low, HASHES
        self.start = self.next = self.read_to = start
        self.begun = self.in_step = False
        self.first_at = 0
        self._log_time = 0
        self._plan = plan
        self._profiles_max = profiles_max
        self._states = ProfileStates()
        self._rows: deque[tuple[int, Fact]] = deque()
        self._reads_attributes = bool(plan.since)

    def __len__(self) -> int:
        return len(self._states)

    @property
    def waiting(self) -> int:
        """Rows read but not yet applied."""
        return len(self._rows)

    def wants(self, profile_id: str) -> bool:
        return self.low <= slice_hash(profile_id) < self.high

    def add(self, rows: Sequence[tuple[int, Fact]], read_to: int) -> None:
        """Takes rows (offset, fact) in order; everything before offset `read_to` has been read."""
        self._rows.extend(rows)
        self.read_to = read_to

    def advance(self, position: int, rows_max: int) -> int:
        """Applies rows up to offset `position`, at most `rows_max`; returns how many."""
        applied = 0
        while self._rows and self._rows[0][0] <= position and applied < rows_max:
            offset, fact = self._rows.popleft()
            self.observe(offset, fact)
            applied += 1
        reached = self._rows[0][0] if self._rows else self.read_to
        self.next = max(self.next, min(reached, position + 1))
        return applied

    def begin(self, start: int) -> None:
        """The reader begins, at the log's start as it is now."""
        if not self.begun:
            self.start = self.next = self.read_to = start
        self.begun = True

    def has_applied(self, position: int) -> bool:
        """Whether every row up to offset `position` that has been read is applied."""
        return self.begun and not (self._rows and self._rows[0][0] <= position)

    def fall_in(self, position: int) -> None:
        """Falls in step with the partition: nothing that it has decided, up to offset `position`, is missing."""
        self.in_step = True
        self.next = max(self.next, position + 1)
        self._rows.clear()

    def observe(self, offset: int, fact: Fact, reached: int = 0) -> None:
        """Applies one fact; one whose offset has been applied changes nothing. `reached`: log time that the partition
        had reached before it, where that is more than the facts observed tell."""
        if offset < self.next:
            return
        self.next = offset + 1
        reached = max(reached, self._log_time)
        self._log_time = max(reached, fact.log_time)
        id_ = fact.profile_id
        if fact.type == "tick" or not self.wants(id_):
            return
        if not self.first_at:
            self.first_at = fact.received_at
        state = self._states.take(id_)
        if state is None:
            if self.in_step:
                return  # it has come over already, or was new and has no history
            state = new_state(fact.tenant)
        if fact.type == "event" or self._reads_attributes:
            state = self._applied(state, fact, reached)
        else:  # attributes nobody asks for are not worth their memory; their ids count among those remembered
            remember_attributes(state, fact)
        self._states.put(id_, state)
        if len(self._states) > self._profiles_max:
            self._halve()

    def _applied(self, state: State, fact: Fact, reached: int) -> State:
        with suppress(Rejected):  # dead-lettered by the stream too, which leaves the person as they were
            state.engine = apply_fact(self._plan, state, fact.profile_id, fact, reached).state
        return state

    def _halve(self) -> None:
        self.high = self.low + max(1, (self.high - self.low) // 2)
        for id_ in [id_ for id_ in self._states if not self.wants(id_)]:
            self._states.take(id_)

    def keys(self) -> list[str]:
        """The profiles of the slice."""
        return list(self._states)

    def history(self, profile_id: str) -> bytes:
        """The encoded engine state of a profile; empty for one without history."""
        state = self._states.take(profile_id)
        if state is None:
            return b""
        self._states.put(profile_id, state)
        return pql.encode_state(state.engine)

    def forget(self, profile_ids: Sequence[str]) -> None:
        """Drops profiles that keep their histories themselves now."""
        for id_ in profile_ids:
            self._states.take(id_)


class Recent:
    """Facts remembered as they are decided, for the last stretch of a replay: a reader of the log alone might never
    quite catch up with a busy partition. Holds every fact from offset `start` on, that is the newest 8,192."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._rows: deque[tuple[int, Fact, int]] = deque()

    def add(self, offset: int, fact: Fact, reached: int) -> None:
        if not self._rows or offset > self._rows[-1][0]:  # a batch that failed is stepped again
            self._rows.append((offset, fact, reached))
        if len(self._rows) > _RECENT_ROWS_MAX:
            self.start = self._rows.popleft()[0] + 1

    def told_to(self, replay: Replay) -> None:
        """Has a replay observe what is remembered, and forgets it."""
        for row in self._rows:
            replay.observe(*row)
        self._rows.clear()
