"""The registry's verbs. A version is visible only after its file is on disk and has passed the check."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from services.model_registry.domain import Alias, Version, check_alias_name, check_manifest, check_model_name
from services.model_registry.errors import AliasConflict
from services.model_registry.ports import Artifacts, Events, Inspector, Telemetry, Versions
from shared.contracts.models import ModelManifest
from shared.kernel.clock import Clock
from shared.kernel.errors import Reason, Rejected


@dataclass(frozen=True, slots=True)
class Registry:
    """Registers, reads and promotes model versions."""

    versions: Versions
    artifacts: Artifacts
    inspector: Inspector
    events: Events
    telemetry: Telemetry
    clock: Clock

    async def register(self, model: str, manifest: ModelManifest, raw: bytes) -> tuple[Version, bool]:
        """Registers a version once: the same file again returns the version it already has."""
        try:
            check_model_name(model)
            check_manifest(model, manifest, sha256(raw).hexdigest())
            started = time.perf_counter()
            await self.inspector.inspect(raw, manifest)
            self.telemetry.checked(time.perf_counter() - started)
        except Rejected:
            self.telemetry.uploaded("refused")
            raise
        await self.artifacts.put(raw)
        version, created = await self.versions.add(manifest, self.clock.now())
        self.telemetry.uploaded("created" if created else "known")
        await self.events.nudge()
        return version, created

    async def promote(self, model: str, alias: str, version: int, expected_revision: int) -> Alias:
        """Moves an alias by compare-and-set; the event leaves in the same transaction. A repeat changes nothing."""
        check_alias_name(alias)
        # The file is read back first: an alias must never point to what cannot be served.
        await self.artifacts.get((await self.versions.get(model, version)).digest)
        try:
            moved = await self.versions.move_alias(model, alias, version, expected_revision, self.clock.now())
        except AliasConflict as conflict:
            if (conflict.present_version, conflict.present_revision) != (version, expected_revision + 1):
                self.telemetry.alias_moved("conflict")
                raise
            present = await self.alias(model, alias)
            self.telemetry.alias_moved("unchanged")
            return present
        self.telemetry.alias_moved("moved")
        await self.events.nudge()
        return moved

    async def models(self) -> Sequence[str]:
        return await self.versions.models()

    async def model(self, model: str) -> tuple[Sequence[Version], Sequence[Alias]]:
        """Returns a model's versions, oldest first, and its aliases. Raises Rejected (`not_found`)."""
        versions = await self.versions.of_model(model)
        if not versions:
            raise Rejected(f"there is no model {model!r}; GET /models lists them", Reason.NOT_FOUND)
        return versions, await self.versions.aliases(model)

    async def version(self, model: str, version: int) -> Version:
        return await self.versions.get(model, version)

    async def alias(self, model: str, alias: str) -> Alias:
        """Raises Rejected (`not_found`) when the alias was never set."""
        found = await self.versions.alias(model, alias)
        if found is None:
            raise Rejected(f"model {model!r} has no alias {alias!r}; PUT it with expectedRevision 0", Reason.NOT_FOUND)
        return found

    async def history(self, model: str, alias: str) -> Sequence[Alias]:
        await self.alias(model, alias)
        return await self.versions.history(model, alias)

    async def artifact(self, digest: str) -> bytes:
        """Returns a model file whose digest was verified on this very read."""
        return await self.artifacts.get(digest)
