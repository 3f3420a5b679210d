"""Verbs of ingestion: register, accept. Every check comes before anything is stored or sent."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from services.ingestion.domain import (
    MESSAGE_BYTES_MAX,
    Dataset,
    SchemaClass,
    make_fact,
)
from services.ingestion.ports import (
    Acceptance,
    Connection,
    Datasets,
    InboundLog,
    RegisteredDataset,
    RegisteredSchema,
    Registry,
    SchemaCompiler,
)
from shared.contracts.codec import Codec
from shared.contracts.headers import Headers
from shared.contracts.inbound import TICKS_DATASET, InboundMessage
from shared.kernel.errors import Reason, Rejected, Retryable

_POINTER = re.compile(r"(/[^/]+)+")
_codec: Codec[InboundMessage] = Codec(InboundMessage)


class Registrations:
    """Schemas, datasets and connections."""

    def __init__(self, registry: Registry, compiler: SchemaCompiler, new_id: Callable[[], str]) -> None:
        self.registry = registry
        self._compiler = compiler
        self._new_id = new_id

    async def register_schema(self, title: str, kind: SchemaClass, document: Mapping[str, Any]) -> RegisteredSchema:
        """Stores a JSON Schema. Raises Rejected when the document is none."""
        self._compiler.check(document)
        schema = RegisteredSchema(self._new_id(), title, kind, document)
        await self.registry.add_schema(schema)
        return schema

    async def register_dataset(
        self, name: str, schema_id: str, identity_path: str = "", identity_namespace: str = ""
    ) -> RegisteredDataset:
        """Stores a dataset under a schema. Raises Rejected for an unknown schema or a taken name."""
        if schema_id not in {schema.id for schema in await self.registry.schemas()}:
            raise Rejected(f"there is no schema {schema_id!r}; register it first", Reason.NOT_FOUND)
        if bool(identity_path) != bool(identity_namespace):
            raise Rejected("an identity descriptor has both a path and a namespace")
        if identity_path and not _POINTER.fullmatch(identity_path):
            raise Rejected(f"identity path {identity_path!r} is not a pointer such as /_shop/customerId")
        dataset = RegisteredDataset(self._new_id(), name, schema_id, identity_path, identity_namespace)
        await self.registry.add_dataset(dataset)
        return dataset

    async def register_connection(self, name: str, dataset_id: str = "") -> Connection:
        """Stores an HTTP inlet. Raises Rejected for an unknown dataset."""
        if dataset_id and dataset_id not in {dataset.id for dataset in await self.registry.datasets()}:
            raise Rejected(f"there is no dataset {dataset_id!r}; register it first", Reason.NOT_FOUND)
        connection = Connection(self._new_id(), name, dataset_id)
        await self.registry.add_connection(connection)
        return connection

    async def connection(self, connection_id: str) -> Connection:
        """Raises Rejected (not_found)."""
        for connection in await self.registry.connections():
            if connection.id == connection_id:
                return connection
        raise Rejected(f"there is no connection {connection_id!r}", Reason.NOT_FOUND)

    async def remove_connection(self, connection_id: str) -> None:
        """Raises Rejected (not_found)."""
        if not await self.registry.remove_connection(connection_id):
            raise Rejected(f"there is no connection {connection_id!r}", Reason.NOT_FOUND)

    async def union_schema(self) -> dict[str, Any]:
        """Returns one JSON Schema with the halves `profile` and `event`: what segments may refer to."""
        halves: dict[SchemaClass, list[Mapping[str, Any]]] = {"profile": [], "event": []}
        for schema in await self.registry.schemas():
            halves[schema.kind].append(schema.document)
        return {
            "type": "object",
            "properties": {kind: {"allOf": documents} for kind, documents in halves.items()},
        }


class Collection:
    """Accepts messages over HTTP. Guarantee: what is answered 2xx is valid and durable in Kafka."""

    def __init__(self, datasets: Datasets, log: InboundLog, tenant: str, in_flight_max: int) -> None:
        self._datasets = datasets
        self._log = log
        self._tenant = tenant
        self._in_flight_max = in_flight_max
        self.in_flight = 0

    async def accept(self, connection: Connection, raw: bytes, headers: Headers = ()) -> Acceptance:
        """Validates one message and appends it to the log as it came.

        Raises Rejected (InvalidEntity with a report for schema violations), or Retryable when Kafka does not confirm
        or too many messages wait already: send the same message again.
        """
        if len(raw) > MESSAGE_BYTES_MAX:
            raise Rejected(f"the message has {len(raw)} bytes, at most {MESSAGE_BYTES_MAX} are taken", Reason.TOO_BIG)
        message = _codec.decode(raw)
        dataset = await self.dataset_of(connection, message)
        # The origin and the time are given by the log; the key is all that is needed here.
        fact = make_fact(message, dataset, self._tenant, 0, ("", 0, 0))
        if self.in_flight >= self._in_flight_max:
            raise Retryable(f"{self.in_flight} messages wait for Kafka already")
        self.in_flight += 1
        try:
            return await self._log.append(fact.profile_id, raw, headers)
        finally:
            self.in_flight -= 1

    async def dataset_of(self, connection: Connection, message: InboundMessage) -> Dataset:
        """Returns the dataset a message names. Raises Rejected when it does not exist or is not the connection's."""
        asked = message.header.dataset_id
        if connection.dataset_id and asked != connection.dataset_id:
            raise Rejected(
                f"connection {connection.name!r} takes dataset {connection.dataset_id!r}, the message names {asked!r}",
                Reason.UNKNOWN_DATASET,
            )
        dataset = await self._datasets.find(asked)
        if dataset is None or dataset.id == TICKS_DATASET:
            raise Rejected(f"there is no dataset {asked!r}; register it first", Reason.UNKNOWN_DATASET)
        schema = message.header.schema_ref
        if schema is not None and schema.id != dataset.schema_id:
            raise Rejected(
                f"header.schemaRef is {schema.id!r}, but dataset {dataset.name!r} has schema {dataset.schema_id!r}",
                Reason.ENVELOPE,
            )
        return dataset


def split_batch(raw: bytes, messages_max: int) -> Sequence[bytes]:
    """Splits a batch body into its messages, undecoded. Raises Rejected when it is none or too long."""
    messages: list[msgspec.Raw] = _batch_codec.decode(raw).messages
    if not 0 < len(messages) <= messages_max:
        raise Rejected(f"a batch has 1 to {messages_max} messages, this one has {len(messages)}", Reason.TOO_BIG)
    return [bytes(message) for message in messages]


class _BatchBody(msgspec.Struct):
    messages: list[msgspec.Raw]


_batch_codec: Codec[_BatchBody] = Codec(_BatchBody)
