"""Follows which model versions are champions and keeps each loaded, warm and ready to be called.

A version is fetched, loaded and run once in a thread before it is published by one reference assignment; whoever
holds the previous version goes on with it. A version that cannot be had or loaded leaves the previous one in place
and is tried again. The newest word of the log per model wins, however many moves arrive while one is loading.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from mode import Service

from shared.adapters.artifacts import ArtifactClient
from shared.adapters.kafka import CompactedReader, KafkaAccess
from shared.adapters.onnx import OnnxModel
from shared.contracts.models import ModelEvent
from shared.contracts.topics import MODEL_EVENTS
from shared.kernel.errors import Reason, Rejected, Retryable
from shared.kernel.retry import Backoff

__all__ = ["CHAMPION", "Champions", "ServedModel", "load_model"]

CHAMPION = "champion"
_RETRIES = Backoff(first_s=0.5, max_s=15.0)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model version and the event that made it champion."""

    event: ModelEvent
    model: OnnxModel

    @property
    def version(self) -> str:
        return str(self.event.version)


def load_model(event: ModelEvent, raw: bytes) -> ServedModel:
    """Builds and warms a session. Raises Rejected when the file is not the model that the manifest describes."""
    manifest = event.manifest
    model = OnnxModel(raw, manifest.input_name, manifest.output_name)
    if model.feature_count != len(manifest.features):
        raise Rejected(
            f"model {event.model} version {event.version} takes {model.feature_count} features, "
            f"its manifest names {len(manifest.features)}",
            Reason.MODEL,
        )
    return ServedModel(event, model)


class Champions(Service):
    """The champions of all models, or of `only` those named, by model name."""

    def __init__(
        self,
        bootstrap_servers: str | KafkaAccess,
        artifacts: ArtifactClient,
        *,
        prefix: str = "",
        only: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self._artifacts = artifacts
        self._only = only
        self._published: list[Callable[[ServedModel, bytes], None]] = []
        self._failed: list[Callable[[ModelEvent, Exception], None]] = []
        self._served: Mapping[str, ServedModel] = MappingProxyType({})
        self._wanted: dict[str, ModelEvent] = {}
        self._changed = asyncio.Event()
        self._random = Random()  # noqa: S311 - spreads retries, decides nothing
        self._reader = CompactedReader(bootstrap_servers, MODEL_EVENTS, self.on_record, prefix)

    @property
    def served(self) -> Mapping[str, ServedModel]:
        """A snapshot that never changes: take it once per request or batch."""
        return self._served

    @property
    def caught_up(self) -> bool:
        """Tells whether the log of model events has been read to the end since the process started."""
        return self._reader.caught_up

    @property
    def pending(self) -> Mapping[str, ModelEvent]:
        """Champions that are known but not loaded yet."""
        return {name: event for name, event in self._wanted.items() if self._is_news(event)}

    def on_published(self, call: Callable[[ServedModel, bytes], None]) -> None:
        """Has `call` called on the event loop after each swap, with the model and its file."""
        self._published.append(call)

    def on_failed(self, call: Callable[[ModelEvent, Exception], None]) -> None:
        """Has `call` called after each attempt to load a champion that did not succeed."""
        self._failed.append(call)

    def seed(self, served: ServedModel) -> None:
        """Publishes a model kept from an earlier run, unless the log has already said something newer."""
        if self._is_news(served.event):
            self._publish(served)

    async def on_start(self) -> None:
        await self.add_runtime_dependency(self._reader)

    def on_record(self, key: str, event: ModelEvent | None) -> None:
        """Takes one record of `model-events`, in log order."""
        if event is None or event.kind != "alias" or event.alias != CHAMPION:
            return
        if self._only and event.model not in self._only:
            return
        known = self._wanted.get(event.model)
        if known is not None and event.occurred_at < known.occurred_at:
            return  # the log is being read again after a reconnect: do not go back through its history
        self._wanted[event.model] = event
        self._changed.set()

    @Service.task
    async def _load_wanted(self) -> None:
        delays: Iterator[float] = iter(())
        while not self.should_stop:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(next(delays, None)):
                    await self._changed.wait()
            if self._changed.is_set():
                self._changed.clear()
                delays = _RETRIES.delays(self._random)
            complete = [await self._try_load(event) for event in list(self.pending.values())]
            if all(complete):
                delays = iter(())

    async def _try_load(self, event: ModelEvent) -> bool:
        try:
            raw = await self._artifacts.fetch(event.digest)
            served = await asyncio.to_thread(load_model, event, raw)
        except (Retryable, Rejected, OSError) as error:
            self.log.warning("champion %s version %d not loaded: %s", event.model, event.version, error)
            for call in self._failed:
                call(event, error)
            return False
        if self._wanted.get(event.model) is event:
            self._publish(served)
            for told in self._published:
                told(served, raw)
        return True

    def _publish(self, served: ServedModel) -> None:
        self._served = MappingProxyType({**self._served, served.event.model: served})

    def _is_news(self, event: ModelEvent) -> bool:
        present = self._served.get(event.model)
        if present is None:
            return True
        moved = (event.version, event.revision) != (present.event.version, present.event.revision)
        return moved and event.occurred_at >= present.event.occurred_at
