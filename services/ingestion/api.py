"""HTTP doors: collection in the reference platform's shapes, and registrations."""

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.ingestion.domain import MESSAGE_BYTES_MAX, MESSAGES_MAX, InvalidEntity
from services.ingestion.handlers import Collection, Registrations, split_batch
from services.ingestion.metrics import IngestionMetrics
from services.ingestion.ports import Connection, RegisteredDataset, RegisteredSchema
from shared.contracts.headers import TRACEPARENT, Headers
from shared.kernel.errors import FreshetError, Reason, Rejected, Retryable
from shared.runtime.http_host import status_of

_BATCH_BYTES_MAX = 16 * MESSAGE_BYTES_MAX


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class SchemaBody(_Body):
    title: str = Field(min_length=1, max_length=200)
    schema_: dict[str, Any] = Field(alias="schema", description="A JSON Schema, draft 2020-12.")
    class_: Literal["event", "profile"] = Field(alias="class")


class IdentityBody(_Body):
    path: str = Field(description="JSON pointer to the primary identity.")
    namespace: str = Field(min_length=1, max_length=200)


class DatasetBody(_Body):
    name: str = Field(min_length=1, max_length=200)
    schema_id: str
    identity: IdentityBody | None = None


class ConnectionBody(_Body):
    name: str = Field(min_length=1, max_length=200)
    dataset_id: str = ""


def routes(registrations: Registrations, collection: Collection, metrics: IngestionMetrics) -> APIRouter:
    """Returns all routes."""
    router = APIRouter()
    _add_collection(router, registrations, collection, metrics)
    _add_schemas(router, registrations)
    _add_datasets(router, registrations)
    _add_connections(router, registrations)
    return router


def _add_collection(
    router: APIRouter, registrations: Registrations, collection: Collection, metrics: IngestionMetrics
) -> None:
    door = _Door(registrations, collection, metrics)

    @router.post("/collection/{connection_id}", tags=["collection"])
    async def collect(
        connection_id: str, request: Request, sync_validation: Annotated[bool, Query(alias="syncValidation")] = True
    ) -> Response:
        """Takes one XDM message; 200 once it is durable, 400 with a report field by field, 503 to try again."""
        return await door.one(connection_id, request)

    @router.post("/collection/batch/{connection_id}", tags=["collection"])
    async def collect_batch(connection_id: str, request: Request) -> Response:
        """Takes up to 1,000 messages; 207 with one answer per message, in order."""
        return await door.many(connection_id, request)


class _Door:
    """Renders acceptance and refusal as the reference does."""

    def __init__(self, registrations: Registrations, collection: Collection, metrics: IngestionMetrics) -> None:
        self._registrations = registrations
        self._collection = collection
        self._metrics = metrics

    async def one(self, connection_id: str, request: Request) -> Response:
        connection = await self._registrations.connection(connection_id)
        raw = await read_body(request, MESSAGE_BYTES_MAX)
        try:
            accepted = await self._accept(connection, raw, request)
        except InvalidEntity as error:
            return JSONResponse(report(error), status_code=400)
        return JSONResponse(
            {
                "inletId": connection.id,
                "xactionId": accepted.transaction_id,
                "receivedTimeMs": accepted.received_ms,
                "syncValidation": {"status": "pass"},
            }
        )

    async def many(self, connection_id: str, request: Request) -> Response:
        connection = await self._registrations.connection(connection_id)
        messages = split_batch(await read_body(request, _BATCH_BYTES_MAX), MESSAGES_MAX)
        responses: list[dict[str, Any]] = []
        for raw in messages:
            try:
                accepted = await self._accept(connection, raw, request)
            except FreshetError as error:
                responses.append({"statusCode": status_of(error), "message": str(error)} | _detail(error))
            else:
                responses.append({"xactionId": accepted.transaction_id})
        received_ms = time.time_ns() // 1_000_000
        body = {
            "inletId": connection.id,
            "batchId": f"{connection.id}:{received_ms}",
            "receivedTimeMs": received_ms,
            "responses": responses,
        }
        return JSONResponse(body, status_code=207)

    async def _accept(self, connection: Connection, raw: bytes, request: Request) -> Any:
        try:
            accepted = await self._collection.accept(connection, raw, _trace(request))
        except Rejected:
            self._metrics.events.labels("invalid").inc()
            raise
        except Retryable:
            self._metrics.events.labels("unconfirmed").inc()
            raise
        finally:
            self._metrics.in_flight.set(self._collection.in_flight)
        self._metrics.events.labels("accepted").inc()
        return accepted


def _trace(request: Request) -> Headers:
    value = request.headers.get(TRACEPARENT)
    return ((TRACEPARENT, value.encode()),) if value else ()


async def read_body(request: Request, limit: int) -> bytes:
    """Reads a body of at most `limit` bytes, counted as it streams in. Raises Rejected (too_big)."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Rejected("compressed bodies are not taken; send plain JSON", Reason.ENVELOPE)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Rejected(f"the body is larger than {limit} bytes", Reason.TOO_BIG)
    return bytes(body)


def report(error: InvalidEntity) -> dict[str, Any]:
    """The reference's report of an invalid message."""
    causes = [
        {
            "schemaLocation": f"#{violation.schema_pointer}",
            "pointerToViolation": f"#{violation.pointer}",
            "causingExceptions": [],
            "keyword": violation.keyword,
            "message": violation.message,
        }
        for violation in error.violations
    ]
    return {
        "type": "about:blank",
        "status": 400,
        "title": "Invalid XDM Message Format",
        "report": {"message": error.message, "cause": {"_streamingValidation": causes}},
    }


def _detail(error: FreshetError) -> dict[str, Any]:
    return {"report": report(error)["report"]} if isinstance(error, InvalidEntity) else {}


def _add_schemas(router: APIRouter, registrations: Registrations) -> None:
    @router.post("/schemas", status_code=201, tags=["schemas"])
    async def register_schema(body: SchemaBody) -> dict[str, Any]:
        """Registers a JSON Schema of events or of profile attributes."""
        return render_schema(await registrations.register_schema(body.title, body.class_, body.schema_))

    @router.get("/schemas", tags=["schemas"])
    async def list_schemas() -> dict[str, Any]:
        """Lists schemas, those shipped with Freshet included."""
        return {"schemas": [render_schema(schema) for schema in await registrations.registry.schemas()]}

    @router.get("/schemas/union", tags=["schemas"])
    async def union_schema() -> dict[str, Any]:
        """The union of all schemas: which fields profiles and events have."""
        return await registrations.union_schema()


def _add_datasets(router: APIRouter, registrations: Registrations) -> None:
    @router.post("/datasets", status_code=201, tags=["datasets"])
    async def register_dataset(body: DatasetBody) -> dict[str, Any]:
        """Registers a dataset under a schema; `identity` names the field that is the primary identity."""
        identity = (body.identity.path, body.identity.namespace) if body.identity else ("", "")
        return render_dataset(await registrations.register_dataset(body.name, body.schema_id, *identity))

    @router.get("/datasets", tags=["datasets"])
    async def list_datasets() -> dict[str, Any]:
        """Lists datasets."""
        return {"datasets": [render_dataset(dataset) for dataset in await registrations.registry.datasets()]}


def _add_connections(router: APIRouter, registrations: Registrations) -> None:
    @router.post("/connections", status_code=201, tags=["connections"])
    async def register_connection(body: ConnectionBody) -> dict[str, Any]:
        """Registers an HTTP inlet: the id in `/collection/{connectionId}`."""
        return render_connection(await registrations.register_connection(body.name, body.dataset_id))

    @router.get("/connections", tags=["connections"])
    async def list_connections() -> dict[str, Any]:
        """Lists HTTP inlets."""
        return {"connections": [render_connection(c) for c in await registrations.registry.connections()]}

    @router.delete("/connections/{connection_id}", status_code=204, tags=["connections"])
    async def remove_connection(connection_id: str) -> Response:
        """Removes an HTTP inlet."""
        await registrations.remove_connection(connection_id)
        return Response(status_code=204)


def render_schema(schema: RegisteredSchema) -> dict[str, Any]:
    return {"id": schema.id, "title": schema.title, "class": schema.kind, "schema": dict(schema.document)}


def render_dataset(dataset: RegisteredDataset) -> dict[str, Any]:
    identity = {"path": dataset.identity_path, "namespace": dataset.identity_namespace}
    return {
        "id": dataset.id,
        "name": dataset.name,
        "schemaId": dataset.schema_id,
        "identity": identity if dataset.identity_path else None,
        "enabled": dataset.enabled,
    }


def render_connection(connection: Connection) -> dict[str, Any]:
    return {"id": connection.id, "name": connection.name, "datasetId": connection.dataset_id or None}
