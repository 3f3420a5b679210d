"""Whether definitions hold for every profile already, and if not, how far they have come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.segmentation.domain.status import Status

ReadyState = Literal["starting", "backfilling", "ready", "unknown"]


@dataclass(frozen=True, slots=True)
class Taken:
    """One partition: its status and the versions, by name, in the generations it runs and is on its way to."""

    status: Status
    running: Mapping[str, int]
    target: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the backfill has come over all partitions: profiles brought over, records read of those there are (a
    partition with many profiles reads its log several times, once for each slice), share done from 0 to 1, and when
    it may end at this pace (None while unknown)."""

    share: float
    profiles: int
    rows: int
    rows_all: int
    rows_per_s: float
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One definition's readiness. `running_version`: the one every profile lives under, None while they differ.

    `history_from` (log time, µs): where the log had lost its beginning, history before that was not seen.
    """

    state: ReadyState
    running_version: int | None
    partitions_ready: int
    partitions: int
    progress: Progress | None
    history_from: int | None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What all partitions have noted: None for one that was never claimed; no partitions if nothing could be read."""

    partitions: Sequence[Taken | None]
    now: int

    def of(self, name: str, version: int) -> Answer:
        """Answers for a segment (by id) or a feature set (by `set_name`)."""
        known = [taken for taken in self.partitions if taken is not None]
        ready = sum(taken.running.get(name) == version for taken in known)
        running = {taken.running.get(name) for taken in known}
        seen = [taken.status.history_from[name] for taken in known if name in taken.status.history_from]
        state = self._state(name, version, ready)
        return Answer(
            state,
            running.pop() if len(running) == 1 and len(known) == len(self.partitions) else None,
            ready,
            len(self.partitions),
            self._progress(name, version) if state == "backfilling" else None,
            max(seen, default=None),
        )

    def _state(self, name: str, version: int, ready: int) -> ReadyState:
        if not self.partitions:
            return "unknown"
        if ready == len(self.partitions):
            return "ready"
        coming = any(taken is not None and taken.target.get(name) == version for taken in self.partitions)
        return "backfilling" if coming or ready else "starting"

    def _progress(self, name: str, version: int) -> Progress:
        statuses = [t.status for t in self.partitions if t is not None]
        done = [1.0 if t and t.running.get(name) == version else t.status.share if t else 0.0 for t in self.partitions]
        share = sum(done) / len(done)
        started = [status.started_at for status in statuses if status.target]
        elapsed_s = max(0.0, (self.now - min(started)) / 1e6) if started else 0.0
        rows, rows_all = sum(map(_rows_done, statuses)), sum(status.rows_all for status in statuses)
        return Progress(
            share,
            sum(status.profiles for status in statuses if status.target),
            rows,
            rows_all,
            rows / elapsed_s if elapsed_s else 0.0,
            elapsed_s * (1 - share) / share if share > 0 and elapsed_s else None,
        )


def _rows_done(status: Status) -> int:
    return status.rows_all if not status.target else min(status.rows, status.rows_all)
