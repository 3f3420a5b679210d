"""What is registered, compiled and kept in memory, read again from the store when it is old or lacks something."""

import asyncio
import time
from collections.abc import Mapping
from random import Random
from types import MappingProxyType

from mode import Service

from services.ingestion.domain.acceptance import Dataset, fact_type_of
from services.ingestion.domain.registrations import Connection, DatasetDefinition, SchemaDefinition
from services.ingestion.ports import Compile, Registrations, Validator
from shared.kernel.errors import Retryable
from shared.kernel.retry import Backoff

_AGE_S_MAX = 5.0
_AGE_S_MIN = 0.2
"""Unknown ids cost a look into the store each; a flood of them costs no more than five looks a second."""

_MISSING_MAX = 10_000


class RegisteredCatalogue(Service):
    """Implements `Catalogue`. Each refresh publishes a new mapping by one assignment; schemas compile once."""

    def __init__(self, registrations: Registrations, compile_: Compile) -> None:
        super().__init__()
        self._registrations = registrations
        self._compile = compile_
        self._datasets: Mapping[str, Dataset] = MappingProxyType({})
        self._connections: Mapping[str, Connection] = MappingProxyType({})
        self._validators: dict[str, Validator] = {}
        self._missing: dict[str, float] = {}
        self._refreshed_at = float("-inf")
        self._turn = asyncio.Lock()
        self._random = Random()  # noqa: S311 - spreads retries, decides nothing

    @property
    def datasets(self) -> Mapping[str, Dataset]:
        return self._datasets

    async def on_start(self) -> None:
        await self.refresh()

    async def connection(self, connection_id: str) -> Connection | None:
        if connection_id not in self._connections or self._age_s() > _AGE_S_MAX:
            await self._look_again()
        return self._connections.get(connection_id)

    async def dataset(self, dataset_id: str) -> Dataset | None:
        if dataset_id not in self._datasets or self._age_s() > _AGE_S_MAX:
            await self._look_again()
        return self._datasets.get(dataset_id)

    async def learn(self, dataset_ids: set[str]) -> None:
        """Makes sure that what a micro-batch names is known if it is registered.

        An id that no store read since its first appearance knows must have been sent before its registration; ids
        found missing are asked for again after some seconds. Waits for the store for as long as it takes: a record
        must not become a dead letter because the store did not answer.
        """
        unknown = [id_ for id_ in dataset_ids if id_ not in self._datasets and not self._is_missing(id_)]
        if not unknown and self._age_s() <= _AGE_S_MAX:
            return
        delays = Backoff().delays(self._random)
        while True:
            try:
                if unknown:
                    await asyncio.sleep(max(0.0, _AGE_S_MIN - self._age_s()))
                await self.refresh()
                break
            except Retryable as error:
                if not unknown:  # what is known stays in force while the store is away
                    self.log.warning("registrations may be out of date: %s", error)
                    return
                self.log.warning("datasets cannot be looked up, records wait: %s", error)
                await asyncio.sleep(next(delays))
        self._note_missing([id_ for id_ in unknown if id_ not in self._datasets])

    async def refresh(self) -> None:
        async with self._turn:
            started = time.monotonic()
            schemas = {schema.id: schema for schema in await self._registrations.schemas()}
            datasets = await self._registrations.datasets()
            connections = await self._registrations.connections()
            ready = (self._ready(dataset, schemas.get(dataset.schema_id)) for dataset in datasets)
            self._datasets = MappingProxyType({dataset.id: dataset for dataset in ready if dataset is not None})
            self._connections = MappingProxyType({connection.id: connection for connection in connections})
            self._missing = {id_: at for id_, at in self._missing.items() if id_ not in self._datasets}
            self._refreshed_at = started

    async def _look_again(self) -> None:
        """Reads the store for HTTP, at most once per `_AGE_S_MIN`; falls back on what is known."""
        if self._age_s() < _AGE_S_MIN:
            return
        try:
            await self.refresh()
        except Retryable:
            if not self._datasets:
                raise
            self.log.warning("registrations may be out of date: the database does not answer")

    def _ready(self, dataset: DatasetDefinition, schema: SchemaDefinition | None) -> Dataset | None:
        if schema is None:
            self.log.error("dataset %s names schema %s, which is gone", dataset.id, dataset.schema_id)
            return None
        validator = self._validators.get(schema.id)
        if validator is None:
            validator = self._validators[schema.id] = self._compile(schema.document)
        identity = dataset.identity
        return Dataset(
            id=dataset.id,
            schema_id=schema.id,
            schema_uri=schema.uri,
            fact_type=fact_type_of(dataset.id, schema.kind),
            identity_path=tuple(identity.path.strip("/").split("/")) if identity else (),
            identity_namespace=identity.namespace if identity else "",
            enabled=dataset.enabled,
            is_valid=validator.is_valid,
            violations=validator.violations,
        )

    def _age_s(self) -> float:
        return time.monotonic() - self._refreshed_at

    def _is_missing(self, dataset_id: str) -> bool:
        at = self._missing.get(dataset_id)
        return at is not None and time.monotonic() - at < _AGE_S_MAX

    def _note_missing(self, dataset_ids: list[str]) -> None:
        if len(self._missing) + len(dataset_ids) > _MISSING_MAX:
            self._missing.clear()
        now = time.monotonic()
        self._missing.update(dict.fromkeys(dataset_ids[:_MISSING_MAX], now))
