"""Registers schemas, datasets and connections. Repeating a registration returns what is there."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from services.ingestion.domain.acceptance import DEPTH_MAX
from services.ingestion.domain.registrations import (
    Connection,
    DatasetDefinition,
    IdentityDescriptor,
    SchemaDefinition,
    SchemaKind,
    connection_id,
    dataset_id,
    schema_id,
)
from services.ingestion.domain.union import union_schema
from services.ingestion.ports import Catalogue, Compile, Registrations
from shared.contracts.inbound import TICKS_DATASET
from shared.kernel.clock import Clock
from shared.kernel.errors import Reason, Rejected

_SCHEMA_CHARS_MAX = 512 * 1024

_Registered = TypeVar("_Registered", SchemaDefinition, DatasetDefinition, Connection)


class RegistrationHandlers:
    """Ids derive from names and content, so that clients may register again at each start."""

    def __init__(
        self, registrations: Registrations, catalogue: Catalogue, compile_: Compile, clock: Clock, tenant: str
    ) -> None:
        self._registrations = registrations
        self._catalogue = catalogue
        self._compile = compile_
        self._clock = clock
        self._tenant = tenant

    async def schemas(self) -> Sequence[SchemaDefinition]:
        return await self._registrations.schemas()

    async def datasets(self) -> Sequence[DatasetDefinition]:
        return await self._registrations.datasets()

    async def connections(self) -> Sequence[Connection]:
        return await self._registrations.connections()

    async def schema(self, id_: str) -> SchemaDefinition:
        return _one("schema", id_, await self.schemas())

    async def dataset(self, id_: str) -> DatasetDefinition:
        return _one("dataset", id_, await self.datasets())

    async def connection(self, id_: str) -> Connection:
        return _one("connection", id_, await self.connections())

    async def union(self) -> dict[str, Any]:
        """Returns the union schema of everything registered (ticks have no fields and stay out)."""
        return union_schema(schema for schema in await self.schemas() if schema.id != TICKS_DATASET)

    async def register_schema(self, title: str, kind: SchemaKind, schema: dict[str, Any]) -> SchemaDefinition:
        """Stores a schema. Raises Rejected when it is no JSON Schema or refers to something outside itself."""
        canonical = json.dumps(schema, sort_keys=True, separators=(",", ":"))
        if len(canonical) > _SCHEMA_CHARS_MAX:
            raise Rejected(f"the schema has {len(canonical)} characters, at most {_SCHEMA_CHARS_MAX}", Reason.TOO_BIG)
        if _nesting(schema) > 4 * DEPTH_MAX:
            raise Rejected(f"the schema is nested more than {4 * DEPTH_MAX} levels deep", Reason.TOO_DEEP)
        self._compile(schema)
        id_ = schema_id(self._tenant, title, kind, canonical)
        known = {schema.id: schema for schema in await self.schemas()}
        if id_ not in known:
            known[id_] = SchemaDefinition(id_, title, kind, schema, self._clock.now())
            await self._registrations.add_schema(known[id_])
            await self._catalogue.refresh()
        return known[id_]

    async def register_dataset(
        self, name: str, schema: str, identity: IdentityDescriptor | None, enabled: bool
    ) -> DatasetDefinition:
        """Stores a dataset, in force when this returns. Another one of the same name raises Rejected (`conflict`)."""
        await self.schema(schema)
        id_ = dataset_id(self._tenant, name)
        wanted = DatasetDefinition(id_, name, schema, identity, enabled, self._clock.now())
        known = next((dataset for dataset in await self.datasets() if dataset.id == id_ or dataset.name == name), None)
        if known is not None:
            _refuse_difference("dataset", known, replace(wanted, id=known.id, created_at=known.created_at))
            return known
        await self._registrations.add_dataset(wanted)
        await self._catalogue.refresh()
        return wanted

    async def change_dataset(
        self, id_: str, schema: str | None, identity: IdentityDescriptor | None, enabled: bool | None
    ) -> DatasetDefinition:
        """Changes what is given of a dataset; other processes follow within seconds."""
        known = await self.dataset(id_)
        _refuse_built_in("dataset", known)
        changed = replace(
            known,
            schema_id=known.schema_id if schema is None else (await self.schema(schema)).id,
            identity=known.identity if identity is None else identity,
            enabled=known.enabled if enabled is None else enabled,
        )
        await self._registrations.replace_dataset(changed)
        await self._catalogue.refresh()
        return changed

    async def register_connection(self, name: str, dataset: str) -> Connection:
        if dataset:
            await self.dataset(dataset)
        id_ = connection_id(self._tenant, name)
        wanted = Connection(id_, name, dataset, self._clock.now())
        known = next((connection for connection in await self.connections() if connection.id == id_), None)
        if known is not None:
            _refuse_difference("connection", known, replace(wanted, created_at=known.created_at))
            return known
        await self._registrations.add_connection(wanted)
        await self._catalogue.refresh()
        return wanted

    async def remove_schema(self, id_: str) -> None:
        """Removes a schema that no dataset uses."""
        _refuse_built_in("schema", await self.schema(id_))
        users = [dataset.name for dataset in await self.datasets() if dataset.schema_id == id_]
        _refuse_used("schema", id_, "datasets", users)
        await self._registrations.remove_schema(id_)
        await self._catalogue.refresh()

    async def remove_dataset(self, id_: str) -> None:
        """Removes a dataset that no connection is bound to. Its messages still on the way become dead letters."""
        _refuse_built_in("dataset", await self.dataset(id_))
        users = [connection.name for connection in await self.connections() if connection.dataset_id == id_]
        _refuse_used("dataset", id_, "connections", users)
        await self._registrations.remove_dataset(id_)
        await self._catalogue.refresh()

    async def remove_connection(self, id_: str) -> None:
        await self.connection(id_)
        await self._registrations.remove_connection(id_)
        await self._catalogue.refresh()


def _one(what: str, id_: str, found: Sequence[_Registered]) -> _Registered:
    for item in found:
        if item.id == id_:
            return item
    raise Rejected(f"{what} {id_[:200]!r} is not registered", Reason.NOT_FOUND)


def _refuse_difference(what: str, known: Any, wanted: Any) -> None:
    if known != wanted:
        raise Rejected(
            f"{what} {known.name!r} exists with other values, as {known.id}; change or delete it, or take another name",
            Reason.CONFLICT,
        )


def _refuse_built_in(what: str, known: Any) -> None:
    if known.builtin:
        raise Rejected(f"{what} {known.id!r} is built in and cannot be changed", Reason.CONFLICT)


def _refuse_used(what: str, id_: str, by: str, users: Sequence[str]) -> None:
    if users:
        raise Rejected(
            f"{what} {id_} is used by {by} {', '.join(sorted(users)[:5])}; delete those first", Reason.CONFLICT
        )


def _nesting(value: Any) -> int:
    depth, layer = 0, [value]
    while layer:
        depth += 1
        layer = [
            child
            for node in layer
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth
