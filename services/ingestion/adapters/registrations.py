"""Schemas, datasets and connections in SQL, with the built-in ones in front."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, MetaData, String, Table, Text, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from services.ingestion.adapters.schemas import builtin_datasets, builtin_schemas
from services.ingestion.domain.registrations import (
    Connection,
    DatasetDefinition,
    IdentityDescriptor,
    SchemaDefinition,
)
from shared.adapters.sql import Database, as_struct
from shared.kernel.errors import Reason, Rejected, Retryable

metadata = MetaData()

_schemas = Table(
    "registered_schemas",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(200), nullable=False),
    Column("title", String(500), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
_datasets = Table(
    "registered_datasets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(200), nullable=False),
    Column("name", String(500), nullable=False),
    Column("schema_id", String(64), nullable=False),
    Column("identity_path", String(1000), nullable=False),
    Column("identity_namespace", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
_connections = Table(
    "registered_connections",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(200), nullable=False),
    Column("name", String(500), nullable=False),
    Column("dataset_id", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)


class SqlRegistrations:
    """Implements `Registrations`. Ids derive from tenant and name, so the primary key keeps names unique."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    async def schemas(self) -> Sequence[SchemaDefinition]:
        rows = await self._rows(_schemas)
        stored = (as_struct(SchemaDefinition, row, document=json.loads(row.document)) for row in rows)
        return [*builtin_schemas(), *stored]

    async def datasets(self) -> Sequence[DatasetDefinition]:
        return [*builtin_datasets(), *map(_dataset, await self._rows(_datasets))]

    async def connections(self) -> Sequence[Connection]:
        return [as_struct(Connection, row) for row in await self._rows(_connections)]

    async def add_schema(self, schema: SchemaDefinition) -> None:
        values = {
            "id": schema.id,
            "title": schema.title,
            "kind": schema.kind,
            "document": json.dumps(schema.document),
            "created_at": schema.created_at,
        }
        await self._write(insert(_schemas).values(tenant=self._tenant, **values))

    async def add_dataset(self, dataset: DatasetDefinition) -> None:
        await self._write(insert(_datasets).values(tenant=self._tenant, id=dataset.id, **_values(dataset)))

    async def replace_dataset(self, dataset: DatasetDefinition) -> None:
        await self._write(update(_datasets).where(_datasets.c.id == dataset.id).values(**_values(dataset)))

    async def add_connection(self, connection: Connection) -> None:
        values = {
            "id": connection.id,
            "name": connection.name,
            "dataset_id": connection.dataset_id,
            "created_at": connection.created_at,
        }
        await self._write(insert(_connections).values(tenant=self._tenant, **values))

    async def remove_schema(self, schema_id: str) -> None:
        await self._write(delete(_schemas).where(_schemas.c.id == schema_id))

    async def remove_dataset(self, dataset_id: str) -> None:
        await self._write(delete(_datasets).where(_datasets.c.id == dataset_id))

    async def remove_connection(self, connection_id: str) -> None:
        await self._write(delete(_connections).where(_connections.c.id == connection_id))

    async def _rows(self, table: Table) -> Sequence[Any]:
        query = select(table).where(table.c.tenant == self._tenant).order_by(table.c.created_at, table.c.id)
        try:
            return await self._database.rows(query)
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable(error) from error

    async def _write(self, statement: Any) -> None:
        try:
            async with self._database.begin() as connection:
                await connection.execute(statement)
        except IntegrityError:
            raise Rejected(
                "somebody else registered this just now; send the same request again", Reason.CONFLICT
            ) from None
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> Retryable:
    return Retryable(f"the registrations database does not answer: {type(error).__name__}")


def _dataset(row: Any) -> DatasetDefinition:
    described = bool(row.identity_path)
    identity = IdentityDescriptor(row.identity_path, row.identity_namespace) if described else None
    return as_struct(DatasetDefinition, row, identity=identity)


def _values(dataset: DatasetDefinition) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "schema_id": dataset.schema_id,
        "identity_path": dataset.identity.path if dataset.identity else "",
        "identity_namespace": dataset.identity.namespace if dataset.identity else "",
        "enabled": dataset.enabled,
        "created_at": dataset.created_at,
    }
