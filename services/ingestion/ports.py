"""What ingestion needs from outside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.ingestion.domain.acceptance import Dataset
from services.ingestion.domain.registrations import Connection, DatasetDefinition, SchemaDefinition
from services.ingestion.errors import Violation
from shared.contracts.headers import Headers
from shared.kernel.errors import Retryable


@dataclass(frozen=True, slots=True)
class Durable:
    """Where an acknowledged record lies in `inbound`, and Kafka's time of it in ms."""

    partition: int
    offset: int
    timestamp_ms: int


class InboundLog(Protocol):
    """Appends to `inbound`."""

    async def append(self, records: Sequence[tuple[str, bytes]], headers: Headers) -> Sequence[Durable | Retryable]:
        """Appends records (key, value) and returns once each is durable, or is not known to be: then the same may be
        sent again. Outcomes stand in the order of the records. Raises Retryable for all of them."""
        ...


class Validator(Protocol):
    """A compiled JSON Schema."""

    def is_valid(self, entity: Any) -> bool: ...

    def violations(self, entity: Any) -> tuple[Violation, ...]:
        """Returns the first broken rules, at most five."""
        ...


Compile = Callable[[Mapping[str, Any]], Validator]
"""Compiles a JSON Schema. Raises Rejected when it is not one, or refers to anything outside itself."""


class Registrations(Protocol):
    """The store of schemas, datasets and connections of one tenant, built-in ones included.

    Reads see what was written before. Adding what exists already, by id, raises Rejected (`conflict`).
    """

    async def schemas(self) -> Sequence[SchemaDefinition]: ...

    async def datasets(self) -> Sequence[DatasetDefinition]: ...

    async def connections(self) -> Sequence[Connection]: ...

    async def add_schema(self, schema: SchemaDefinition) -> None: ...

    async def add_dataset(self, dataset: DatasetDefinition) -> None: ...

    async def replace_dataset(self, dataset: DatasetDefinition) -> None: ...

    async def add_connection(self, connection: Connection) -> None: ...

    async def remove_schema(self, schema_id: str) -> None: ...

    async def remove_dataset(self, dataset_id: str) -> None: ...

    async def remove_connection(self, connection_id: str) -> None: ...


class Catalogue(Protocol):
    """Registrations as this process knows them, compiled and ready; seconds old at most."""

    @property
    def datasets(self) -> Mapping[str, Dataset]: ...

    async def connection(self, connection_id: str) -> Connection | None:
        """Looks again in the store for a connection it does not know."""
        ...

    async def dataset(self, dataset_id: str) -> Dataset | None:
        """Looks again in the store for a dataset it does not know."""
        ...

    async def refresh(self) -> None:
        """Reads the store now: what was just registered is in force when this returns."""
        ...
