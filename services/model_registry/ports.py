"""What the registry's handlers need from the outside."""

from collections.abc import Sequence
from typing import Protocol

from services.model_registry.domain import Alias, Version
from shared.contracts.models import ModelManifest


class Versions(Protocol):
    """Versions and aliases, each change together with its event for `model-events` in one transaction."""

    async def add(self, manifest: ModelManifest, now: int) -> tuple[Version, bool]:
        """Registers the next version, or returns the one that has this digest; tells whether it is new."""
        ...

    async def models(self) -> Sequence[str]:
        """All model names, sorted."""
        ...

    async def of_model(self, model: str) -> Sequence[Version]:
        """All versions of a model, oldest first; empty when there is none."""
        ...

    async def get(self, model: str, version: int) -> Version:
        """Raises Rejected (`not_found`) when there is no such version."""
        ...

    async def aliases(self, model: str) -> Sequence[Alias]:
        """The aliases of a model, sorted by name."""
        ...

    async def alias(self, model: str, alias: str) -> Alias | None:
        """Where the alias points, or None."""
        ...

    async def history(self, model: str, alias: str) -> Sequence[Alias]:
        """Every position the alias has had, oldest first."""
        ...

    async def move_alias(self, model: str, alias: str, version: int, expected_revision: int, now: int) -> Alias:
        """Moves by compare-and-set; `expected_revision` 0 means that the alias must not exist yet.

        Raises AliasConflict when the revision is another, Rejected when the version does not exist.
        """
        ...


class Artifacts(Protocol):
    """Model files by digest."""

    async def put(self, raw: bytes) -> str: ...

    async def get(self, digest: str) -> bytes: ...


class Inspector(Protocol):
    """Looks into a model file from a safe distance."""

    async def inspect(self, raw: bytes, manifest: ModelManifest) -> None:
        """Raises Rejected with the reason when the file is not a model that may be served."""
        ...


class Events(Protocol):
    """The way from the outbox to Kafka."""

    async def nudge(self) -> None:
        """Publishes what waits, now if Kafka answers; never raises."""
        ...


class Telemetry(Protocol):
    """Counts what happened."""

    def uploaded(self, outcome: str) -> None: ...

    def checked(self, seconds: float) -> None: ...

    def alias_moved(self, outcome: str) -> None: ...
