"""What is registered, compiled and kept in memory, read again from the store when it is old or lacks something."""

import asyncio
import time
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

from mode import Service

from services.ingestion.domain.acceptance import Dataset, fact_type_of
from services.ingestion.domain.registrations import Connection, DatasetDefinition, SchemaDefinition
from services.ingestion.ports import Compile, Registrations, Validator
from shared.kernel.errors import Retryable
from shared.kernel.retry import Backoff

_AGE_S_MAX = 5.0
"""What is older is read again, beside the requests that go on with it."""
_AGE_S_WAIT = 10.0
"""What is older than this is waited for, unless the store is known not to answer."""
_RETRY_S = 1.0
_AGE_S_MIN = 0.2
"""Unknown ids cost a look into the store each; a flood of them costs no more than five looks a second."""

_MISSING_MAX = 10_000


class RegisteredCatalogue(Service):
    """Implements `Catalogue`. Each refresh publishes a new mapping by one assignment; schemas compile once."""

    def __init__(
        self, registrations: Registrations, compile_: Compile, now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._now = now
        self._registrations = registrations
        self._compile = compile_
        self._datasets: Mapping[str, Dataset] = MappingProxyType({})
        self._connections: Mapping[str, Connection] = MappingProxyType({})
        self._validators: dict[str, Validator] = {}
        self._missing: dict[str, float] = {}
        self._refreshed_at = float("-inf")
        self._turn = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None
        self._answers = True
        self._tried_at = float("-inf")
        self._random = Random()  # noqa: S311 - spreads retries, decides nothing

    @property
    def datasets(self) -> Mapping[str, Dataset]:
        return self._datasets

    async def on_start(self) -> None:
        await self.refresh()

    async def connection(self, connection_id: str) -> Connection | None:
        if connection_id not in self._connections:
            await self._look_again()
        elif self._age_s() > _AGE_S_MAX:
            await self._renew()
        return self._connections.get(connection_id)

    async def dataset(self, dataset_id: str) -> Dataset | None:
        if dataset_id not in self._datasets:
            await self._look_again()
        elif self._age_s() > _AGE_S_MAX:
            await self._renew()
        return self._datasets.get(dataset_id)

    async def learn(self, dataset_ids: set[str]) -> None:
        """Makes sure that what a micro-batch names is known if it is registered.

        An id that no store read since its first appearance knows must have been sent before its registration; ids
        found missing are asked for again after some seconds. Waits for the store for as long as it takes: a record
        must not become a dead letter because the store did not answer.
        """
        unknown = [id_ for id_ in dataset_ids if id_ not in self._datasets and not self._is_missing(id_)]
        if not unknown:
            return await self._renew() if self._age_s() > _AGE_S_MAX else None
        delays = Backoff().delays(self._random)
        while True:
            try:
                await asyncio.sleep(max(0.0, _AGE_S_MIN - self._age_s()))
                await self.refresh()
                break
            except Retryable as error:
                self.log.warning("datasets cannot be looked up, records wait: %s", error)
                await asyncio.sleep(next(delays))
        self._note_missing([id_ for id_ in unknown if id_ not in self._datasets])
        return None

    async def refresh(self) -> None:
        """Returns once a read that began after this call is in force: callers that wait for one turn share it."""
        asked_at = self._now()
        async with self._turn:
            started = self._now()
            if self._refreshed_at > asked_at:
                return
            self._tried_at = started
            schemas = {schema.id: schema for schema in await self._registrations.schemas()}
            datasets = await self._registrations.datasets()
            connections = await self._registrations.connections()
            ready = (self._ready(dataset, schemas.get(dataset.schema_id)) for dataset in datasets)
            self._datasets = MappingProxyType({dataset.id: dataset for dataset in ready if dataset is not None})
            self._connections = MappingProxyType({connection.id: connection for connection in connections})
            self._missing = {id_: at for id_, at in self._missing.items() if id_ not in self._datasets}
            self._refreshed_at, self._answers = started, True

    async def _renew(self) -> None:
        """Has what is old read again, once for all who ask meanwhile. They go on with what is known, unless that is
        very old and the store answers."""
        if self._renewing is None or self._renewing.done():
            if not self._answers and self._now() - self._tried_at < _RETRY_S:
                return
            self._renewing = asyncio.create_task(self._look_again())
        if self._age_s() > _AGE_S_WAIT and self._answers:
            await asyncio.shield(self._renewing)

    async def _look_again(self) -> None:
        """Reads the store for HTTP, at most once per `_AGE_S_MIN`; falls back on what is known."""
        if self._age_s() < _AGE_S_MIN:
            return
        try:
            await self.refresh()
        except Retryable:
            self._answers = False
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
        return self._now() - self._refreshed_at

    def _is_missing(self, dataset_id: str) -> bool:
        at = self._missing.get(dataset_id)
        return at is not None and self._now() - at < _AGE_S_MAX

    def _note_missing(self, dataset_ids: list[str]) -> None:
        if len(self._missing) + len(dataset_ids) > _MISSING_MAX:
            self._missing.clear()
        now = self._now()
        self._missing.update(dict.fromkeys(dataset_ids[:_MISSING_MAX], now))
