"""What a recipe is given: parameters, and the places it may reach."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from shared.contracts.facts import Fact
from shared.contracts.models import ModelManifest
from shared.contracts.vectors import FeatureSetDefinition
from shared.kernel.clock import Clock


class FactLog(Protocol):
    """The log of facts up to the moment the run began."""

    def partitions(self) -> AsyncIterator[AsyncIterator[list[Fact]]]:
        """Yields each partition's facts in arrival order, in batches; use one up before taking the next."""
        ...


class FeatureSets(Protocol):
    """Feature set definitions by name."""

    def get(self, name: str) -> FeatureSetDefinition: ...


class ModelRegistry(Protocol):
    """Where finished models go."""

    def register(self, manifest: ModelManifest, raw: bytes) -> int:
        """Returns the version's number."""
        ...

    def promote(self, model: str, version: int) -> bool:
        """Makes the version champion unless a newer one is; tells whether it is champion now."""
        ...


class Progress(Protocol):
    """Writes a line to the run's log."""

    def __call__(self, step: str, **facts: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Context:
    """One run's parameters (resolved), folder, and reach."""

    run_id: str
    model: str
    parameters: Mapping[str, Any]
    promote: bool
    folder: Path
    log: FactLog
    feature_sets: FeatureSets
    registry: ModelRegistry
    progress: Progress
    clock: Clock


@dataclass(frozen=True, slots=True)
class Trained:
    """What a recipe achieved."""

    message: str
    metrics: dict[str, float]
    model_version: int
