"""The service's HTTP doors over real SQLite and an in-memory log."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from services.ingestion.adapters.catalogue import RegisteredCatalogue
from services.ingestion.adapters.json_schema import compile_schema
from services.ingestion.adapters.registrations import SqlRegistrations, metadata
from services.ingestion.api import answers, registration
from services.ingestion.api.body import Admission
from services.ingestion.api.collection import CollectionDoor
from services.ingestion.handlers.collection import CollectionHandlers
from services.ingestion.handlers.registration import RegistrationHandlers
from services.ingestion.metrics import IngestionMetrics
from services.ingestion.ports import Durable
from services.ingestion.settings import Settings
from shared.adapters.sql import Database
from shared.contracts.headers import Headers
from shared.kernel.clock import ManualClock
from shared.kernel.errors import Retryable
from shared.runtime.health import Health
from shared.runtime.http_host import create_api

TENANT = "default"


@dataclass
class MemoryLog:
    """Implements `InboundLog`; with `down` set it confirms nothing, and nothing before `open_` is set."""

    rows: list[tuple[str, bytes, Headers]] = field(default_factory=list)
    down: bool = False
    refuse_keys: set[str] = field(default_factory=set)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    open_: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, records: Sequence[tuple[str, bytes]], headers: Headers) -> Sequence[Durable | Retryable]:
        self.entered.set()
        await self.open_.wait()
        if self.down:
            raise Retryable("the Kafka producer is not connected yet")
        return [self._append(key, raw, headers) for key, raw in records]

    def _append(self, key: str, raw: bytes, headers: Headers) -> Durable | Retryable:
        if key in self.refuse_keys:
            return Retryable("Kafka did not confirm a record")
        self.rows.append((key, raw, headers))
        return Durable(0, len(self.rows) - 1, 1_000)


@dataclass
class Doors:
    app: CollectionDoor
    client: httpx.AsyncClient
    log: MemoryLog
    catalogue: RegisteredCatalogue
    registrations: SqlRegistrations
    registry: CollectorRegistry

    async def post(self, path: str, body: object, status: int) -> dict[str, object]:
        """POSTs JSON and fails with the answer when the status is another."""
        response = await self.client.post(path, json=body)
        assert status == response.status_code, response.text
        answer: dict[str, object] = response.json()
        return answer


@asynccontextmanager
async def open_doors(folder: Path, **settings: object) -> AsyncIterator[Doors]:
    """Runs everything but Kafka for the block; the same `folder` gives the same database again."""
    configured = Settings.model_validate({"database_url": f"sqlite+aiosqlite:///{folder}/ingestion.db", **settings})
    registry = CollectorRegistry()
    metrics = IngestionMetrics(registry)
    database = Database(configured.database_url, metadata)
    await database.start()
    registrations = SqlRegistrations(database, TENANT)
    catalogue = RegisteredCatalogue(registrations, compile_schema)
    await catalogue.start()
    log = MemoryLog()
    log.open_.set()
    api = create_api("ingestion", "", Health(), registry)
    registering = RegistrationHandlers(registrations, catalogue, compile_schema, ManualClock(), TENANT)
    api.include_router(registration.routes(registering))
    answers.describe(api)
    collecting = CollectionHandlers(catalogue, log, TENANT, configured.in_flight_max)
    app = CollectionDoor(api, collecting, Admission(configured, metrics), metrics)
    transport = httpx.ASGITransport(app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://ingestion") as client:
            yield Doors(app, client, log, catalogue, registrations, registry)
    finally:
        await catalogue.stop()
        await database.stop()
