"""Last-known-good bundles: a champion's event and model file in one file, so that the edge starts with all else down.

Layout: magic, length of the event (u32, big-endian), event (JSON), model file, SHA-256 over all before it.
"""

import asyncio
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from mode import Service

from shared.adapters.artifacts import artifact_digest, write_atomically
from shared.adapters.champions import ServedModel, load_model
from shared.contracts.codec import encode
from shared.contracts.models import ModelEvent
from shared.contracts.topics import MODEL_EVENTS
from shared.kernel.errors import Reason, Rejected

_MAGIC = b"FRB1"
_SUFFIX = ".bundle"
_DIGEST_BYTES = 32


def seal(event: ModelEvent, raw: bytes) -> bytes:
    """Returns the bundle's bytes."""
    told = encode(event)
    content = _MAGIC + len(told).to_bytes(4, "big") + told + raw
    return content + sha256(content).digest()


def unseal(bundle: bytes) -> tuple[ModelEvent, bytes]:
    """Reads a bundle. Raises Rejected when it was cut, changed, or holds another file than its event says."""
    content, digest = bundle[:-_DIGEST_BYTES], bundle[-_DIGEST_BYTES:]
    if not content.startswith(_MAGIC) or sha256(content).digest() != digest:
        raise Rejected(f"not a sound bundle of {len(bundle)} bytes: it was cut or changed", Reason.MODEL)
    start = len(_MAGIC) + 4
    end = start + int.from_bytes(content[len(_MAGIC) : start], "big")
    event: ModelEvent = MODEL_EVENTS.codec.decode(content[start:end])
    raw = content[end:]
    if (found := artifact_digest(raw)) != event.digest:
        raise Rejected(f"the bundle of {event.model} holds artifact {found}, expected {event.digest}", Reason.MODEL)
    return event, raw


class BundleKeeper(Service):
    """Loads the bundles at start and writes one after each swap, newest last, off the event loop."""

    def __init__(self, folder: Path, seed: Callable[[ServedModel], None]) -> None:
        """`seed` receives each model that could be loaded from a bundle, before anything else starts."""
        super().__init__()
        self._folder = folder
        self._seed = seed
        self._waiting: dict[str, tuple[ModelEvent, bytes]] = {}
        self._changed = asyncio.Event()

    async def on_start(self) -> None:
        for served in await asyncio.to_thread(lambda: list(self._load_all())):
            self._seed(served)

    def _load_all(self) -> Iterator[ServedModel]:
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                event, raw = unseal(path.read_bytes())
                yield load_model(event, raw)
            except (Rejected, OSError) as error:
                self.log.error("bundle %s left out: %s", path.name, error)

    def keep(self, event: ModelEvent, raw: bytes) -> None:
        """Has the bundle written soon; a newer one of the same model takes its place."""
        self._waiting[event.model] = (event, raw)
        self._changed.set()

    @Service.task
    async def _write_waiting(self) -> None:
        while not self.should_stop:
            await self._changed.wait()
            self._changed.clear()
            waiting, self._waiting = self._waiting, {}
            for event, raw in waiting.values():
                try:
                    await asyncio.to_thread(write_atomically, self.path(event.model), seal(event, raw))
                except OSError as error:
                    self.log.error("bundle of %s not kept: %s; a restart would need the registry", event.model, error)

    def path(self, model: str) -> Path:
        """Where a model's bundle lies."""
        return self._folder / f"{model}{_SUFFIX}"
