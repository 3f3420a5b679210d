"""Ingestion: schemas, datasets and connections; sending messages over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from shared.contracts.inbound import InboundMessage
from shared.sdk.transport import Http


@dataclass(frozen=True)
class IngestionClient:
    http: Http

    def register_schema(self, title: str, schema: Mapping[str, Any], kind: Literal["event", "profile"]) -> str:
        """Registers a JSON Schema of events or profile records; returns its id."""
        answer = self.http.post("/schemas", {"title": title, "schema": schema, "class": kind})
        return str(answer["id"])

    def register_dataset(self, name: str, schema_id: str, identity: Mapping[str, str] | None = None) -> str:
        """Registers a dataset under a schema; `identity` names a field as primary identity: {path, namespace}."""
        body = {"name": name, "schemaId": schema_id} | ({"identity": identity} if identity else {})
        return str(self.http.post("/datasets", body)["id"])

    def register_connection(self, name: str, dataset_id: str | None = None) -> str:
        """Registers an HTTP inlet; returns the id that `send` takes."""
        body = {"name": name} | ({"datasetId": dataset_id} if dataset_id else {})
        return str(self.http.post("/connections", body)["id"])

    def union_schema(self) -> dict[str, Any]:
        """The union of all schemas: which fields profiles and events have."""
        schema: dict[str, Any] = self.http.get("/schemas/union")
        return schema

    def send(self, connection_id: str, message: InboundMessage) -> dict[str, Any]:
        """Sends one message; returns once it is durable. Raises ApiError with the report of what is invalid."""
        answer: dict[str, Any] = self.http.post(f"/collection/{connection_id}", msgspec.to_builtins(message))
        return answer

    def send_batch(self, connection_id: str, messages: Sequence[InboundMessage]) -> list[dict[str, Any]]:
        """Sends messages; returns one answer per message, in order: `xactionId`, or `statusCode` and `message`."""
        body = {"messages": [msgspec.to_builtins(message) for message in messages]}
        answers: list[dict[str, Any]] = self.http.post(f"/collection/batch/{connection_id}", body)["responses"]
        return answers
