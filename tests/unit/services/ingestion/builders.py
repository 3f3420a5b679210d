"""Builders that show only what matters to a test."""

from typing import Any

from services.ingestion.adapters.json_schema import compile_schema
from services.ingestion.adapters.schemas import builtin_datasets, builtin_schemas
from services.ingestion.domain.acceptance import Dataset, fact_type_of
from services.ingestion.domain.registrations import SchemaKind
from shared.contracts.headers import Headers
from shared.contracts.inbound import InboundBody, InboundHeader, InboundMessage, SchemaRef
from shared.runtime.stage import Record

ANN = {"Email": [{"id": "ann@example.com", "primary": True}]}
NOON = "2026-01-31T12:00:00Z"
NOON_US = 1_769_860_800_000_000

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "eventType": {"type": "string"},
        "person": {"type": "object", "properties": {"birthYear": {"type": "integer", "minimum": 1900}}},
        "email": {"type": "string", "format": "email"},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
        "tier": {"enum": ["gold", "silver"]},
        "rank": {"type": "integer"},
    },
}


def dataset(
    id_: str = "shop",
    kind: SchemaKind = "event",
    schema: dict[str, Any] | None = None,
    path: tuple[str, ...] = (),
    namespace: str = "",
    enabled: bool = True,
) -> Dataset:
    validator = compile_schema(SCHEMA if schema is None else schema)
    return Dataset(
        id=id_,
        schema_id=f"{id_}-schema",
        schema_uri="",
        fact_type=fact_type_of(id_, kind),
        identity_path=path,
        identity_namespace=namespace,
        enabled=enabled,
        is_valid=validator.is_valid,
        violations=validator.violations,
    )


def builtin(id_: str) -> Dataset:
    """A dataset that ships with Freshet."""
    schemas = {schema.id: schema for schema in builtin_schemas()}
    definition = next(definition for definition in builtin_datasets() if definition.id == id_)
    schema = schemas[definition.schema_id]
    return dataset(id_, schema.kind, schema.document)


def event(**fields: Any) -> dict[str, Any]:
    """A valid event; None takes a field away."""
    entity = {"_id": "e1", "timestamp": NOON, "eventType": "commerce.purchases", "identityMap": ANN} | fields
    return {name: value for name, value in entity.items() if value is not None}


def message(entity: dict[str, Any], dataset_id: str = "shop", schema_ref: str = "") -> InboundMessage:
    ref = SchemaRef(schema_ref) if schema_ref else None
    return InboundMessage(InboundHeader(dataset_id, ref), InboundBody(entity))


def record(value: InboundMessage, headers: Headers = (), partition: int = 3, offset: int = 7) -> Record[InboundMessage]:
    return Record("key", value, partition, offset, NOON_US // 1000, headers)
