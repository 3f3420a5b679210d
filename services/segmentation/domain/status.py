"""What a partition's passage to new definitions notes of itself beside its fence."""

from typing import Literal

import msgspec

from services.segmentation.domain.replay import HASHES
from shared.contracts import redis_keys

STATUS, RUNNING, TARGET, LEFT = (
    redis_keys.NOTE + name for name in ("backfill", "definitions", "definitions-next", "definitions-left")
)
"""View names: how far it has come (JSON), the generation that all profiles live under, the one they shall live under,
and those that some live under because they were on the way to them when these were given up."""

Phase = Literal["settled", "replay", "sweep"]


class Status(msgspec.Struct, omit_defaults=True):
    """How far a partition has come; `running`, `target` and `left` are generations' ids.

    Slices below hash `low` have come over, out of 2³². `rows` of `rows_all` records have been read for the slice that
    ends at `high`. `profiles` have been seeded so far. Instants are wall clock, µs, but for `history_from`: by name
    of segment or feature set, the log time (µs) from which history was seen, where the log had lost its beginning.
    """

    running: str
    target: str = ""
    phase: Phase = "settled"
    low: int = 0
    high: int = HASHES
    rows: int = 0
    rows_all: int = 0
    profiles: int = 0
    started_at: int = 0
    updated_at: int = 0
    cut_from: int = 0
    history_from: dict[str, int] = {}
    left: list[str] = []

    @property
    def share(self) -> float:
        """How much is done, 0 to 1; the sweep's part is not known beforehand and counts nothing."""
        if self.phase == "settled":
            return 1.0
        read = min(1.0, self.rows / self.rows_all) if self.rows_all else 0.0
        return (self.low + (self.high - self.low) * read) / HASHES
