"""What segmentation's handlers need from outside."""

from collections.abc import Sequence
from typing import Protocol

from shared import pql
from shared.contracts.definitions import SegmentDefinition
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
    """Knows what the running worker has taken up."""

    def segment_version(self, segment_id: str) -> int | None:
        """Returns the version the plan runs, or None."""
        ...

    def feature_set_version(self, name: str) -> int | None: ...
