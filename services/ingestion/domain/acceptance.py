"""Whether a message may become a fact, and of whom: the one rule that both doors apply.

The order of checks is the order of cost: size and depth, the schema, reserved fields, time, identity.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from services.ingestion.domain.identity import identify
from services.ingestion.domain.registrations import SchemaKind
from services.ingestion.errors import InvalidMessageError, Violation
from shared.contracts.facts import FactType, Identity
from shared.contracts.inbound import SCORES_DATASET, TICKS_DATASET, InboundMessage
from shared.kernel.clock import parse_instant
from shared.kernel.errors import Reason, Rejected
from shared.kernel.ids import PROFILE_ID_NAMESPACE, ProfileId, profile_id

EVENT_BYTES_MAX = 64 * 1024
RECORD_BYTES_MAX = 100 * 1024
DEPTH_MAX = 32
ID_CHARS_MAX = 1024
SCORES_FIELD = "_freshet"

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Dataset:
    """A registered dataset, ready for use. `violations` returns the first few broken rules of an invalid entity."""

    id: str
    schema_id: str
    schema_uri: str
    fact_type: FactType
    identity_path: tuple[str, ...]
    identity_namespace: str
    enabled: bool
    is_valid: Callable[[Any], bool]
    violations: Callable[[Any], tuple[Violation, ...]]


def fact_type_of(dataset_id: str, kind: SchemaKind) -> FactType:
    """Returns what a dataset's entities become on the log."""
    if dataset_id == SCORES_DATASET:
        return "score"
    if dataset_id == TICKS_DATASET:
        return "tick"
    return "event" if kind == "event" else "record"


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A valid entity and whose it is. `id` is empty and `occurred_at` None where a record does not say."""

    profile_id: ProfileId
    identities: tuple[Identity, ...]
    id: str
    occurred_at: int | None


def accept(message: InboundMessage, dataset: Dataset, tenant: str) -> Accepted:
    """Validates and identifies one message. Raises Rejected, which is an InvalidMessageError for a broken schema."""
    if not dataset.enabled:
        raise Rejected(f"dataset {dataset.id} is disabled; enable it and send again", Reason.UNKNOWN_DATASET)
    _check_schema_refs(message, dataset)
    entity = message.body.xdm_entity
    is_event = dataset.fact_type == "event"
    _check_size(entity, EVENT_BYTES_MAX if is_event else RECORD_BYTES_MAX)
    if not dataset.is_valid(entity):
        raise InvalidMessageError(dataset.violations(entity))
    if SCORES_FIELD in entity and dataset.fact_type != "score":
        raise Rejected(
            f"'{SCORES_FIELD}' is written by models only; send the attribute in another field", Reason.SCHEMA
        )
    id_ = _id(entity, is_event)
    occurred_at = _occurred_at(entity, is_event)
    identities = identify(entity, dataset.identity_path, dataset.identity_namespace)
    primary = identities[0]
    kept = tuple(identity for identity in identities if identity.namespace != PROFILE_ID_NAMESPACE)
    return Accepted(profile_id(tenant, primary.namespace, primary.id), kept, id_, occurred_at)


def _check_schema_refs(message: InboundMessage, dataset: Dataset) -> None:
    ref = message.header.schema_ref
    meta = message.body.xdm_meta
    if ref is None and meta is None:
        return
    inner = (meta or {}).get("schemaRef")
    named = [ref.id if ref is not None else None, inner.get("id") if isinstance(inner, dict) else None]
    for name in named:
        if name is not None and name not in (dataset.schema_id, dataset.schema_uri):
            raise Rejected(
                f"the message names schema {str(name)[:200]!r}, dataset {dataset.id} has schema {dataset.schema_id!r}; "
                "name that one or leave 'schemaRef' out",
                Reason.ENVELOPE,
            )


def _check_size(entity: dict[str, Any], bytes_max: int) -> None:
    try:
        raw = _encode(entity)
        _pack(entity)
    except RecursionError:
        raise _too_deep() from None
    except OverflowError:
        raise Rejected("a number of the entity does not fit in 64 bits; send it as a text", Reason.NON_FINITE) from None
    if len(raw) > bytes_max:
        raise Rejected(f"the entity has {len(raw)} bytes of JSON, at most {bytes_max} are taken", Reason.TOO_BIG)
    # As many brackets as levels are allowed cannot nest deeper: the walk is for the rare large entity.
    if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX and _depth(entity, DEPTH_MAX) > DEPTH_MAX:
        raise _too_deep()


def _too_deep() -> Rejected:
    return Rejected(f"the entity is nested more than {DEPTH_MAX} levels deep", Reason.TOO_DEEP)


def _depth(value: Any, limit: int) -> int:
    """Returns the levels of nesting, or something above `limit` when they exceed it."""
    if isinstance(value, dict):
        children: Any = value.values()
    elif isinstance(value, list):
        children = value
    else:
        return 0
    if limit == 0:
        return 1
    return 1 + max((_depth(child, limit - 1) for child in children), default=0)


def _id(entity: dict[str, Any], required: bool) -> str:
    value = entity.get("_id")
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= ID_CHARS_MAX:
        raise Rejected(f"'_id' must be a text of 1 to {ID_CHARS_MAX} characters, the event's own id", Reason.ENVELOPE)
    return value


def _occurred_at(entity: dict[str, Any], required: bool) -> int | None:
    value = entity.get("timestamp")
    if value is None and not required:
        return None
    if not isinstance(value, str):
        raise Rejected("'timestamp' must be an RFC 3339 text such as 2026-01-31T12:00:00Z", Reason.TIME)
    try:
        return parse_instant(value)
    except (ValueError, OverflowError):
        raise Rejected(
            f"'timestamp' {value[:40]!r} is not an RFC 3339 instant such as 2026-01-31T12:00:00Z", Reason.TIME
        ) from None
