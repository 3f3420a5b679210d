"""Registrations in SQL, and datasets compiled from them."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, MetaData, String, Table, Text, delete, insert, select
from sqlalchemy.exc import IntegrityError

from services.ingestion.adapters.schemas import JsonSchemaValidator, builtin_datasets, builtin_schemas
from services.ingestion.domain import Dataset, IdentityDescriptor
from services.ingestion.ports import Connection, RegisteredDataset, RegisteredSchema
from shared.adapters.sql import Database
from shared.contracts.facts import FactType
from shared.contracts.inbound import SCORES_DATASET, TICKS_DATASET
from shared.kernel.clock import SECOND, Clock
from shared.kernel.errors import Reason, Rejected

metadata = MetaData()

_schemas = Table(
    "schemas",
    metadata,
    Column("id", String(300), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("document", Text, nullable=False),
    Column("builtin", Boolean, nullable=False),
)
_datasets = Table(
    "datasets",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("schema_id", String(300), ForeignKey("schemas.id"), nullable=False),
    Column("identity_path", String(500), nullable=False),
    Column("identity_namespace", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("builtin", Boolean, nullable=False),
)
_connections = Table(
    "connections",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("dataset_id", String(200), nullable=False),
)

_REFRESH_US = 30 * SECOND
_LOOK_AGAIN_US = 2 * SECOND
_MISSING_MAX = 10_000


class SqlRegistry:
    """Implements `Registry`. What ships with Freshet is always there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def schemas(self) -> Sequence[RegisteredSchema]:
        rows = await self._rows(select(_schemas).order_by(_schemas.c.title, _schemas.c.id))
        stored = [RegisteredSchema(r.id, r.title, r.kind, json.loads(r.document), r.builtin) for r in rows]
        return [*builtin_schemas(), *(schema for schema in stored if not schema.builtin)]

    async def datasets(self) -> Sequence[RegisteredDataset]:
        rows = await self._rows(select(_datasets).where(_datasets.c.builtin.is_(False)).order_by(_datasets.c.name))
        stored = [
            RegisteredDataset(r.id, r.name, r.schema_id, r.identity_path, r.identity_namespace, r.enabled, r.builtin)
            for r in rows
        ]
        return [*builtin_datasets(), *stored]

    async def connections(self) -> Sequence[Connection]:
        rows = await self._rows(select(_connections).order_by(_connections.c.name, _connections.c.id))
        return [Connection(row.id, row.name, row.dataset_id) for row in rows]

    async def add_schema(self, schema: RegisteredSchema) -> None:
        await self._insert(_schemas, _schema_row(schema), f"schema id {schema.id!r} is taken")

    async def add_dataset(self, dataset: RegisteredDataset) -> None:
        async with self._database.begin() as connection:
            # A dataset's schema may be one that ships with Freshet: its row is made when first referred to.
            known = (await connection.execute(select(_schemas.c.id))).scalars().all()
            for schema in builtin_schemas():
                if schema.id == dataset.schema_id and schema.id not in known:
                    await connection.execute(insert(_schemas).values(**_schema_row(schema)))
        row = {column.name: getattr(dataset, column.name) for column in _datasets.columns}
        await self._insert(_datasets, row, f"the dataset name {dataset.name!r} is taken")

    async def add_connection(self, connection: Connection) -> None:
        row = {"id": connection.id, "name": connection.name, "dataset_id": connection.dataset_id}
        await self._insert(_connections, row, f"connection id {connection.id!r} is taken")

    async def remove_connection(self, connection_id: str) -> bool:
        async with self._database.begin() as connection:
            done = await connection.execute(delete(_connections).where(_connections.c.id == connection_id))
            return bool(done.rowcount)

    async def _rows(self, query: Any) -> list[Any]:
        async with self._database.engine.connect() as connection:
            return list((await connection.execute(query)).all())

    async def _insert(self, table: Table, row: dict[str, Any], conflict: str) -> None:
        try:
            async with self._database.begin() as connection:
                await connection.execute(insert(table).values(**row))
        except IntegrityError:
            raise Rejected(f"{conflict}; choose another", Reason.CONFLICT) from None


def _schema_row(schema: RegisteredSchema) -> dict[str, Any]:
    return {
        "id": schema.id,
        "title": schema.title,
        "kind": schema.kind,
        "document": json.dumps(dict(schema.document)),
        "builtin": schema.builtin,
    }


class CompiledDatasets:
    """Implements `Datasets`: compiled validators, read again when an unknown id comes and every half minute.

    An id seen for the first time is always looked for; one that a look did not find is not looked for again for two
    seconds, so that a flood of messages for a dataset that does not exist costs one query.
    """

    def __init__(self, registry: SqlRegistry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._known: dict[str, Dataset] = {}
        self._compiled: dict[str, JsonSchemaValidator] = {}
        self._missing: dict[str, int] = {}
        self._read_at = -_REFRESH_US
        self._turn = asyncio.Lock()

    def known(self, dataset_id: str) -> Dataset | None:
        return self._known.get(dataset_id)

    async def find(self, dataset_id: str) -> Dataset | None:
        await self.learn((dataset_id,))
        return self._known.get(dataset_id)

    async def learn(self, dataset_ids: Sequence[str]) -> None:
        if not self._worth_a_look(dataset_ids):
            return
        async with self._turn:
            # Whoever waited finds what the one before has read, and must not go on without it.
            if self._worth_a_look(dataset_ids):
                await self.refresh()
                self._note_missing(dataset_ids)

    def _worth_a_look(self, dataset_ids: Sequence[str]) -> bool:
        now = self._clock.now()
        if now - self._read_at >= _REFRESH_US:
            return True
        return any(id_ not in self._known and now - self._missing.get(id_, 0) >= _LOOK_AGAIN_US for id_ in dataset_ids)

    def _note_missing(self, dataset_ids: Sequence[str]) -> None:
        if len(self._missing) > _MISSING_MAX:
            self._missing.clear()
        now = self._clock.now()
        self._missing.update({id_: now for id_ in dataset_ids if id_ not in self._known})

    async def refresh(self) -> None:
        """Reads all registrations and compiles schemas not compiled yet."""
        started = self._clock.now()
        schemas = {schema.id: schema for schema in await self._registry.schemas()}
        for schema in schemas.values():
            if schema.id not in self._compiled:
                self._compiled[schema.id] = JsonSchemaValidator(schema.document)
        self._known = {
            dataset.id: self._dataset(dataset, schemas[dataset.schema_id])
            for dataset in await self._registry.datasets()
        }
        self._missing = {id_: at for id_, at in self._missing.items() if id_ not in self._known}
        self._read_at = started

    def _dataset(self, dataset: RegisteredDataset, schema: RegisteredSchema) -> Dataset:
        fact_types: dict[str, FactType] = {SCORES_DATASET: "score", TICKS_DATASET: "tick"}
        type_: FactType = fact_types.get(dataset.id, "event" if schema.kind == "event" else "record")
        descriptor = None
        if dataset.identity_path:
            path = tuple(part.replace("~1", "/").replace("~0", "~") for part in dataset.identity_path.split("/")[1:])
            descriptor = IdentityDescriptor(path, dataset.identity_namespace)
        validator = self._compiled[schema.id]
        return Dataset(dataset.id, dataset.name, schema.id, type_, validator, descriptor, dataset.enabled)
