"""What clients register before they send: schemas, datasets under them, connections to send through."""

from dataclasses import dataclass, field
from typing import Any, Literal

from shared.kernel.ids import digest_id

SchemaKind = Literal["event", "profile"]
"""XDM class: `event` is ExperienceEvent, `profile` is Individual Profile."""

_ID_BYTES = 12


@dataclass(frozen=True, slots=True)
class SchemaDefinition:
    """An immutable JSON Schema (draft 2020-12). A changed schema is another schema."""

    id: str
    title: str
    kind: SchemaKind
    document: dict[str, Any] = field(repr=False)
    created_at: int = 0
    builtin: bool = False

    @property
    def uri(self) -> str:
        """The schema's own `$id`, by which clients may refer to it, or an empty string."""
        value = self.document.get("$id")
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class IdentityDescriptor:
    """Names the field that holds the primary identity: `path` is `/a/b/c` below the entity."""

    path: str
    namespace: str


@dataclass(frozen=True, slots=True)
class DatasetDefinition:
    """Records of one schema and, if described, where their primary identity stands."""

    id: str
    name: str
    schema_id: str
    identity: IdentityDescriptor | None = None
    enabled: bool = True
    created_at: int = 0
    builtin: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """An HTTP inlet; with a dataset it takes only that dataset's messages."""

    id: str
    name: str
    dataset_id: str = ""
    created_at: int = 0


def schema_id(tenant: str, title: str, kind: str, canonical: str) -> str:
    """A schema is known by its content: registering the same one again gives the same id."""
    return digest_id("schema", tenant, title, kind, canonical, size_bytes=_ID_BYTES)


def dataset_id(tenant: str, name: str) -> str:
    return digest_id("dataset", tenant, name, size_bytes=_ID_BYTES)


def connection_id(tenant: str, name: str) -> str:
    return digest_id("connection", tenant, name, size_bytes=_ID_BYTES)
