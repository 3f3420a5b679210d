"""HTTP door of the control plane: schemas, datasets, connections."""

from dataclasses import replace
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.ingestion.domain.registrations import (
    Connection,
    DatasetDefinition,
    IdentityDescriptor,
    SchemaDefinition,
)
from services.ingestion.handlers.registration import RegistrationHandlers
from shared.kernel.clock import format_instant


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class SchemaBody(_Body):
    """A JSON Schema, draft 2020-12, of the entities of one XDM class."""

    title: str = Field(min_length=1, max_length=500)
    schema_: dict[str, Any] = Field(alias="schema")
    class_: Literal["profile", "event"] = Field(alias="class")


class IdentityBody(_Body):
    """Where the primary identity stands: `path` is a JSON pointer without array indexes, below the entity."""

    path: str = Field(pattern=r"^(/[^/]+){1,32}$", max_length=1000)
    namespace: str = Field(min_length=1, max_length=128)


class DatasetBody(_Body):
    name: str = Field(min_length=1, max_length=500)
    schema_id: str = Field(min_length=1, max_length=64)
    identity: IdentityBody | None = None
    enabled: bool = True


class DatasetPatch(_Body):
    schema_id: str | None = Field(default=None, min_length=1, max_length=64)
    identity: IdentityBody | None = None
    enabled: bool | None = None


class ConnectionBody(_Body):
    name: str = Field(min_length=1, max_length=500)
    dataset_id: str | None = Field(default=None, max_length=64)


def routes(handlers: RegistrationHandlers) -> APIRouter:
    router = APIRouter()
    _add_schemas(router, handlers)
    _add_datasets(router, handlers)
    _add_connections(router, handlers)
    return router


def _add_schemas(router: APIRouter, handlers: RegistrationHandlers) -> None:
    @router.get("/schemas", tags=["schemas"])
    async def list_schemas() -> dict[str, Any]:
        """Lists schemas without their documents."""
        schemas = [render_schema(replace(schema, document={})) for schema in await handlers.schemas()]
        return {"schemas": [{k: v for k, v in schema.items() if k != "schema"} for schema in schemas]}

    @router.post("/schemas", status_code=201, tags=["schemas"])
    async def register_schema(body: SchemaBody) -> dict[str, Any]:
        """Registers a schema; the same one again is the same schema."""
        return render_schema(await handlers.register_schema(body.title, body.class_, body.schema_))

    @router.get("/schemas/union", tags=["schemas"])
    async def union_schema() -> dict[str, Any]:
        """Every field that any schema knows, as one JSON Schema with the halves `profile` and `event`."""
        return await handlers.union()

    @router.get("/schemas/{schema_id}", tags=["schemas"])
    async def get_schema(schema_id: str) -> dict[str, Any]:
        return render_schema(await handlers.schema(schema_id))

    @router.delete("/schemas/{schema_id}", status_code=204, tags=["schemas"])
    async def remove_schema(schema_id: str) -> Response:
        """Removes a schema; 409 while a dataset uses it."""
        await handlers.remove_schema(schema_id)
        return Response(status_code=204)


def _add_datasets(router: APIRouter, handlers: RegistrationHandlers) -> None:
    @router.get("/datasets", tags=["datasets"])
    async def list_datasets() -> dict[str, Any]:
        return {"datasets": [render_dataset(dataset) for dataset in await handlers.datasets()]}

    @router.post("/datasets", status_code=201, tags=["datasets"])
    async def register_dataset(body: DatasetBody) -> dict[str, Any]:
        """Registers a dataset under a schema; 409 when another one has the name."""
        identity = _descriptor(body.identity)
        return render_dataset(await handlers.register_dataset(body.name, body.schema_id, identity, body.enabled))

    @router.get("/datasets/{dataset_id}", tags=["datasets"])
    async def get_dataset(dataset_id: str) -> dict[str, Any]:
        return render_dataset(await handlers.dataset(dataset_id))

    @router.patch("/datasets/{dataset_id}", tags=["datasets"])
    async def change_dataset(dataset_id: str, body: DatasetPatch) -> dict[str, Any]:
        """Moves a dataset to another schema, names its identity field, enables or disables it."""
        identity = _descriptor(body.identity)
        return render_dataset(await handlers.change_dataset(dataset_id, body.schema_id, identity, body.enabled))

    @router.delete("/datasets/{dataset_id}", status_code=204, tags=["datasets"])
    async def remove_dataset(dataset_id: str) -> Response:
        """Removes a dataset; 409 while a connection is bound to it."""
        await handlers.remove_dataset(dataset_id)
        return Response(status_code=204)


def _add_connections(router: APIRouter, handlers: RegistrationHandlers) -> None:
    @router.get("/connections", tags=["connections"])
    async def list_connections() -> dict[str, Any]:
        return {"connections": [render_connection(connection) for connection in await handlers.connections()]}

    @router.post("/connections", status_code=201, tags=["connections"])
    async def register_connection(body: ConnectionBody) -> dict[str, Any]:
        """Registers an HTTP inlet, for one dataset or for all."""
        return render_connection(await handlers.register_connection(body.name, body.dataset_id or ""))

    @router.get("/connections/{connection_id}", tags=["connections"])
    async def get_connection(connection_id: str) -> dict[str, Any]:
        return render_connection(await handlers.connection(connection_id))

    @router.delete("/connections/{connection_id}", status_code=204, tags=["connections"])
    async def remove_connection(connection_id: str) -> Response:
        await handlers.remove_connection(connection_id)
        return Response(status_code=204)


def _descriptor(body: IdentityBody | None) -> IdentityDescriptor | None:
    return IdentityDescriptor(body.path, body.namespace) if body is not None else None


def render_schema(schema: SchemaDefinition) -> dict[str, Any]:
    return {
        "id": schema.id,
        "title": schema.title,
        "class": schema.kind,
        "builtIn": schema.builtin,
        "created": format_instant(schema.created_at),
        "schema": schema.document,
    }


def render_dataset(dataset: DatasetDefinition) -> dict[str, Any]:
    identity = dataset.identity
    return {
        "id": dataset.id,
        "name": dataset.name,
        "schemaId": dataset.schema_id,
        "identity": {"path": identity.path, "namespace": identity.namespace} if identity else None,
        "enabled": dataset.enabled,
        "builtIn": dataset.builtin,
        "created": format_instant(dataset.created_at),
    }


def render_connection(connection: Connection) -> dict[str, Any]:
    return {
        "id": connection.id,
        "name": connection.name,
        "datasetId": connection.dataset_id or None,
        "created": format_instant(connection.created_at),
    }
