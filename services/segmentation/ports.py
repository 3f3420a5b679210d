"""What segmentation's handlers need from outside."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.generations import Generation
from services.segmentation.domain.readiness import Readiness
from services.segmentation.domain.state import State
from services.segmentation.domain.status import Status
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.vectors import FeatureSetDefinition


class DefinitionStore(Protocol):
    """Keeps the newest version of each definition; each change is published in the same transaction."""

    async def segments(self) -> Sequence[SegmentDefinition]:
        """Returns live segments, by name."""
        ...

    async def segment(self, segment_id: str) -> SegmentDefinition | None: ...

    async def save_segment(self, segment: SegmentDefinition, expected_version: int) -> None:
        """Writes a new version. Raises Rejected (conflict) when the stored version is not `expected_version`
        (0: none yet), or when another live segment has the name."""
        ...

    async def feature_sets(self) -> Sequence[FeatureSetDefinition]: ...

    async def save_feature_set(self, feature_set: FeatureSetDefinition, expected_version: int) -> None:
        """Writes a new version. Raises Rejected (conflict) when the stored version is not `expected_version`."""
        ...


class UnionSchemas(Protocol):
    """Knows the union of all schemas registered at ingestion."""

    async def union(self) -> pql.Schema:
        """Returns the schema that expressions are checked against. Raises Retryable when it cannot be read."""
        ...


class Applied(Protocol):
    """Knows the definitions that this process has read."""

    def current(self) -> Definitions:
        """Returns the newest, compiled; new profiles begin under them."""
        ...

    def under(self, plan: int) -> Definitions:
        """Returns those of a plan key, which a state carries; the newest if this process does not know them."""
        ...


class Ready(Protocol):
    """Knows how far definitions have been taken up."""

    async def readiness(self) -> Readiness:
        """Returns what all partitions have noted. Never raises: what cannot be read is unknown."""
        ...


class LiveProfiles(Protocol):
    """Reads the stream's state of any profile, whichever worker owns its partition."""

    async def get(self, profile_id: str) -> State | None:
        """Returns a copy as of the last durable batch, None for a profile never seen. Raises Retryable."""
        ...


@dataclass(frozen=True, slots=True)
class Extent:
    """Offsets `start` (inclusive) to `end` (exclusive) of one partition of the log."""

    partition: int
    start: int
    end: int

    @property
    def rows(self) -> int:
        return self.end - self.start


class FactLog(Protocol):
    """Reads what the `events` log still retains, outside any consumer group. All methods raise Retryable."""

    async def extents(self) -> Sequence[Extent]:
        """Returns what every partition holds at this moment, by partition."""
        ...

    def read(self, extents: Sequence[Extent]) -> AsyncGenerator[Sequence[Fact], None]:
        """Yields small batches, one partition after the other, in order; what cannot be decoded is left out."""
        ...

    def follow(
        self, partition: int, start: int, wants: Callable[[str], bool]
    ) -> AsyncGenerator[tuple[Sequence[tuple[int, Fact]], int, int], None]:
        """Yields (rows, next offset, offset read from) for ever, from `start` or where the log begins if that is
        later. Rows are (offset, fact) of those profiles that `wants` holds for; others are not even decoded."""
        ...

    def newest_of(self, profile_id: str, rows_max: int) -> AsyncGenerator[Sequence[Fact], None]:
        """Yields facts of one profile, newest first, from at most the newest `rows_max` records of its partition."""
        ...


@dataclass(frozen=True, slots=True)
class Noted:
    """What a partition's passage has noted durably: its status, and the generations named in it."""

    status: Status
    running: bytes
    target: bytes | None
    left: bytes | None = None


class Notes(Protocol):
    """Reads what passages have written between micro-batches, of any partition. All methods raise Retryable."""

    async def noted(self, partition: int) -> Noted | None:
        """Returns None for a partition that no worker has ever claimed."""
        ...

    async def statuses(self) -> Sequence[Status | None]:
        """Returns the status of every partition, by partition."""
        ...

    def profiles(self, partition: int) -> AsyncGenerator[Sequence[str], None]:
        """Yields the ids of all profiles that have a state, some at a time; one may come twice."""
        ...


class Newest(Protocol):
    """Knows the newest definitions that have been published."""

    @property
    def revision(self) -> int:
        """Grows with every definition that arrives."""
        ...

    def generation(self) -> Generation: ...

    def generation_of(self, encoded: bytes, previous: Definitions | None = None) -> Generation:
        """Returns what `Generation.encoded` holds, compiled; `previous` lends what it shares."""
        ...


class Background(Protocol):
    """Runs work beside requests, a bounded number at once."""

    def start_job(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Starts `work`. Raises Retryable when as much is running as may."""
        ...

    async def cancel(self, name: str) -> None:
        """Ends the work of that name, if it still runs, and waits for its end."""
        ...
