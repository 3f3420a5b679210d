"""Validation, identity and the making of facts: pure, the same for HTTP and Kafka."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from shared.contracts.facts import Fact, FactType, Identity
from shared.contracts.inbound import InboundMessage
from shared.kernel.clock import parse_instant
from shared.kernel.errors import Reason, Rejected
from shared.kernel.ids import PROFILE_ID_NAMESPACE, digest_id, profile_id

SchemaClass = Literal["event", "profile"]

DEPTH_MAX = 32
IDENTITIES_MAX = 20
IDENTITY_CHARS_MAX = 1_024
ID_CHARS_MAX = 1_024
MESSAGE_BYTES_MAX = 1_000_000
MESSAGES_MAX = 1_000
VIOLATIONS_MAX = 5
_INTEGER_BOUND = 2**63


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where an entity does not fit its schema. Pointers are JSON pointers."""

    pointer: str
    schema_pointer: str
    keyword: str
    message: str


class Validator(Protocol):
    """A compiled JSON Schema."""

    def is_valid(self, entity: Any) -> bool: ...

    def violations(self, entity: Any, limit: int) -> list[Violation]: ...


@dataclass(frozen=True, slots=True)
class IdentityDescriptor:
    """Where a dataset keeps its primary identity: field names from the root, and the namespace of the value."""

    path: tuple[str, ...]
    namespace: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """A registered dataset, ready to check messages. `type` is what its entities become on the log."""

    id: str
    name: str
    schema_id: str
    type: FactType
    validator: Validator
    identity: IdentityDescriptor | None = None
    enabled: bool = True


class InvalidEntity(Rejected):
    """An entity that does not fit its dataset's schema; carries the field-by-field report."""

    def __init__(self, dataset: Dataset, violations: Sequence[Violation]) -> None:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(
            f"does not fit the schema of dataset {dataset.name!r}: at {first.pointer or '/'}: {first.message}{more}",
            Reason.SCHEMA,
        )
        self.dataset = dataset
        self.violations = list(violations)


def check(entity: dict[str, Any], dataset: Dataset) -> None:
    """Raises InvalidEntity with up to five violations, or Rejected (too_deep, unknown_dataset)."""
    if not dataset.enabled:
        raise Rejected(f"dataset {dataset.name!r} is disabled", Reason.UNKNOWN_DATASET)
    refuse_unfit(entity)
    if not dataset.validator.is_valid(entity):
        raise InvalidEntity(dataset, dataset.validator.violations(entity, VIOLATIONS_MAX))


def refuse_unfit(value: Any, levels: int = DEPTH_MAX) -> None:
    """Raises Rejected for what JSON allows and the system cannot carry: nesting beyond `levels` (too_deep) and
    integers beyond 64 bits (non_finite), which state and other languages cannot hold."""
    children: Iterable[Any]
    if isinstance(value, dict):
        children = value.values()
    elif isinstance(value, list):
        children = value
    else:
        if isinstance(value, int) and not -_INTEGER_BOUND <= value < _INTEGER_BOUND:
            raise Rejected(f"the integer {str(value)[:40]} does not fit 64 bits; send it as text", Reason.NON_FINITE)
        return
    if levels <= 0:
        raise Rejected(f"the entity is nested deeper than {DEPTH_MAX} levels", Reason.TOO_DEEP)
    for child in children:
        if not isinstance(child, str):
            refuse_unfit(child, levels - 1)


def identities(entity: Mapping[str, Any], descriptor: IdentityDescriptor | None) -> tuple[Identity, ...]:
    """Returns all identities of an entity, the primary one first.

    The dataset's descriptor names the primary; without one it is the identity marked primary in `identityMap`, or
    the only one there is. Raises Rejected (identity) when there is none or no telling which.
    """
    found = _identity_map(entity.get("identityMap"))
    if descriptor is not None:
        value = _at(entity, descriptor.path)
        pointer = "/" + "/".join(descriptor.path)
        if not isinstance(value, str) or not 0 < len(value) <= IDENTITY_CHARS_MAX:
            raise Rejected(
                f"the primary identity at {pointer} must be a text of 1 to {IDENTITY_CHARS_MAX} characters, "
                f"found {_shown(value)}",
                Reason.IDENTITY,
            )
        primary = Identity(descriptor.namespace, value, primary=True)
        return primary, *(i for i in found if (i.namespace, i.id) != (primary.namespace, primary.id))
    marked = [identity for identity in found if identity.primary]
    if len(marked) == 1 or (not marked and len(found) == 1):
        primary = marked[0] if marked else found[0]
        return primary, *(identity for identity in found if identity is not primary)
    if not found:
        raise Rejected(
            "the entity has no identity: give identityMap {namespace: [{id, primary: true}]}", Reason.IDENTITY
        )
    raise Rejected(
        f"identityMap has {len(found)} identities and {len(marked)} of them marked primary; mark exactly one",
        Reason.IDENTITY,
    )


def _identity_map(value: Any) -> list[Identity]:
    if value is None:
        return []
    if not isinstance(value, dict):
        raise Rejected("identityMap must be an object of namespace to a list of identities", Reason.IDENTITY)
    found: list[Identity] = []
    for namespace, items in value.items():
        for item in items if isinstance(items, list) else (None,):
            known = item if isinstance(item, dict) else {}
            id_ = known.get("id")
            if not isinstance(id_, str) or not 0 < len(id_) <= IDENTITY_CHARS_MAX:
                raise Rejected(
                    f"identityMap.{namespace} must be a list of {{id, primary}} with texts of 1 to "
                    f"{IDENTITY_CHARS_MAX} characters as ids",
                    Reason.IDENTITY,
                )
            found.append(Identity(namespace, id_, primary=known.get("primary") is True))
    if len(found) > IDENTITIES_MAX:
        raise Rejected(f"the entity has {len(found)} identities, at most {IDENTITIES_MAX} are taken", Reason.IDENTITY)
    return found


def _at(entity: Mapping[str, Any], path: Iterable[str]) -> Any:
    value: Any = entity
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:80]


def make_fact(
    message: InboundMessage, dataset: Dataset, tenant: str, received_at: int, origin: tuple[str, int, int]
) -> Fact:
    """Validates and identifies one message and makes the fact of it.

    `received_at`: log time, µs. `origin`: topic, partition, offset of the message, from which a record without `_id`
    gets its id. Raises Rejected with the reason.
    """
    entity = message.body.xdm_entity
    check(entity, dataset)
    if dataset.type == "tick":
        return Fact(digest_id("tick", *map(str, origin)), "tick", tenant, "", received_at, received_at, dataset.id)
    known = identities(entity, dataset.identity)
    occurred_at = received_at
    if dataset.type == "event" or "timestamp" in entity:
        occurred_at = _timestamp(entity.get("timestamp"))
    return Fact(
        id=_fact_id(entity.get("_id"), dataset.type, origin),
        type=dataset.type,
        tenant=tenant,
        profile_id=_profile_of(tenant, known[0]),
        occurred_at=occurred_at,
        received_at=received_at,
        dataset_id=dataset.id,
        identities=known,
        body=entity,
    )


def _profile_of(tenant: str, primary: Identity) -> str:
    if primary.namespace == PROFILE_ID_NAMESPACE and not _is_profile_id(primary.id):
        raise Rejected(f"{primary.id[:80]!r} is not a profile id (32 lower-case hex digits)", Reason.IDENTITY)
    return profile_id(tenant, primary.namespace, primary.id)


def _is_profile_id(value: str) -> bool:
    return len(value) == 32 and all(character in "0123456789abcdef" for character in value)


def _timestamp(value: Any) -> int:
    try:
        return parse_instant(value)
    except (TypeError, ValueError):
        raise Rejected(
            f"timestamp must be an instant such as 2026-01-31T12:00:00Z, found {_shown(value)}", Reason.TIME
        ) from None


def _fact_id(value: Any, type_: FactType, origin: tuple[str, int, int]) -> str:
    if isinstance(value, str) and 0 < len(value) <= ID_CHARS_MAX:
        return value
    if value is None and type_ == "record":
        return digest_id("record", *map(str, origin))
    raise Rejected(
        f"_id must be a text of 1 to {ID_CHARS_MAX} characters, unique per event: it tells repeats apart; "
        f"found {_shown(value)}",
        Reason.ENVELOPE,
    )
