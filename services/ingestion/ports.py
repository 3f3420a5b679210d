"""What ingestion's handlers need from outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.ingestion.domain import Dataset, SchemaClass
from shared.contracts.headers import Headers


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A JSON Schema under an id. `builtin` ones ship with Freshet and cannot be removed."""

    id: str
    title: str
    kind: SchemaClass
    document: Mapping[str, Any]
    builtin: bool = False


@dataclass(frozen=True, slots=True)
class RegisteredDataset:
    """`identity_path` is a JSON pointer to the primary identity, or empty: `identityMap` tells."""

    id: str
    name: str
    schema_id: str
    identity_path: str = ""
    identity_namespace: str = ""
    enabled: bool = True
    builtin: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """An HTTP inlet. With `dataset_id` it takes messages of that dataset only."""

    id: str
    name: str
    dataset_id: str = ""


class Registry(Protocol):
    """Keeps schemas, datasets and connections."""

    async def schemas(self) -> Sequence[RegisteredSchema]: ...

    async def datasets(self) -> Sequence[RegisteredDataset]: ...

    async def connections(self) -> Sequence[Connection]: ...

    async def add_schema(self, schema: RegisteredSchema) -> None:
        """Raises Rejected (conflict) when the id is taken."""
        ...

    async def add_dataset(self, dataset: RegisteredDataset) -> None:
        """Raises Rejected (conflict) when the id or the name is taken."""
        ...

    async def add_connection(self, connection: Connection) -> None: ...

    async def remove_connection(self, connection_id: str) -> bool: ...


class Datasets(Protocol):
    """Datasets ready to check messages; what is not known yet is looked for in the registry."""

    async def find(self, dataset_id: str) -> Dataset | None: ...

    async def learn(self, dataset_ids: Sequence[str]) -> None:
        """Makes sure that datasets registered a moment ago, maybe at another process, are known."""
        ...

    def known(self, dataset_id: str) -> Dataset | None: ...


class SchemaCompiler(Protocol):
    """Checks that a document is a JSON Schema."""

    def check(self, document: Mapping[str, Any]) -> None:
        """Raises Rejected saying what is wrong with the schema."""
        ...


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Where an accepted message lies in `inbound`."""

    partition: int
    offset: int
    received_ms: int

    @property
    def transaction_id(self) -> str:
        return f"{self.received_ms}:{self.partition}:{self.offset}"


class InboundLog(Protocol):
    """The durable log of accepted messages."""

    async def append(self, key: str, raw: bytes, headers: Headers) -> Acceptance:
        """Returns once the message is durable. Raises Retryable when that is not known."""
        ...
