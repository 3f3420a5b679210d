"""Whose record it is: identities of an entity and which of them is primary."""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.contracts.facts import Identity
from shared.kernel.errors import Reason, Rejected
from shared.kernel.ids import PROFILE_ID_NAMESPACE

IDENTITIES_MAX = 20
"""Identities of one record (the reference's limit)."""

_VALUE_CHARS_MAX = 1024
_NAMESPACE_CHARS_MAX = 128
_PROFILE_ID_CHARS = 32
_HEX = frozenset("0123456789abcdef")


def identify(entity: Mapping[str, Any], path: tuple[str, ...], namespace: str) -> tuple[Identity, ...]:
    """Returns the entity's identities, the primary one first.

    Primary is: the field at `path` in `namespace` (the dataset's descriptor) where it is set; otherwise the identity
    marked primary in `identityMap`; otherwise the only one there is. Of several marked ones the first by namespace
    and value is taken. Raises Rejected (`identity`) when there is none, or several and nothing tells which.
    """
    found = list(_from_map(entity.get("identityMap")))
    described = _described(entity, path, namespace) if path else None
    if described is not None:
        return (described, *(_secondary(i) for i in found if (i.namespace, i.id) != (namespace, described.id)))
    if len(found) == 1:
        only = found[0]
        return (only,) if only.primary else (Identity(only.namespace, only.id, True),)
    if not found:
        where = f"'/{'/'.join(path)}' nor 'identityMap'" if path else "'identityMap'"
        raise _refused(f"the entity has no identity: neither {where} holds one" if path else _no_map())
    marked = [identity for identity in found if identity.primary]
    if not marked:
        raise _refused(f"'identityMap' has {len(found)} identities and none is marked 'primary': true; mark one")
    first = min(marked, key=lambda identity: (identity.namespace.casefold(), identity.id))
    return (first, *(_secondary(identity) for identity in found if identity is not first))


def _no_map() -> str:
    return "the entity has no identity: 'identityMap' is missing or empty"


def _secondary(identity: Identity) -> Identity:
    return Identity(identity.namespace, identity.id) if identity.primary else identity


def _described(entity: Mapping[str, Any], path: tuple[str, ...], namespace: str) -> Identity | None:
    value: Any = entity
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return None if value is None else _checked(namespace, value, True, "/" + "/".join(path))


def _from_map(identity_map: Any) -> Iterator[Identity]:
    if identity_map is None:
        return
    if not isinstance(identity_map, dict):
        raise _refused("'identityMap' must be an object of arrays, by namespace")
    count = 0
    for namespace, items in identity_map.items():
        if not isinstance(items, list):
            raise _refused(f"'identityMap/{namespace[:40]}' must be an array of objects with an 'id'")
        for item in items:
            count += 1
            if count > IDENTITIES_MAX:
                raise _refused(f"'identityMap' has more than {IDENTITIES_MAX} identities")
            value = item.get("id") if isinstance(item, dict) else None
            marked = isinstance(item, dict) and item.get("primary") is True
            yield _checked(namespace, value, marked, f"identityMap/{namespace[:40]}")


def _checked(namespace: str, value: Any, primary: bool, where: str) -> Identity:
    if not isinstance(value, str) or not 0 < len(value) <= _VALUE_CHARS_MAX:
        raise _refused(f"the identity at '{where}' must be a text of 1 to {_VALUE_CHARS_MAX} characters")
    if not 0 < len(namespace) <= _NAMESPACE_CHARS_MAX:
        raise _refused(f"an identity namespace must have 1 to {_NAMESPACE_CHARS_MAX} characters")
    if namespace == PROFILE_ID_NAMESPACE and not (len(value) == _PROFILE_ID_CHARS and _HEX.issuperset(value)):
        # This value becomes a key as it is, so nothing but a well-formed profile id may pass.
        raise _refused(f"an identity in '{PROFILE_ID_NAMESPACE}' must be {_PROFILE_ID_CHARS} lower-case hex digits")
    return Identity(namespace, value, primary)


def _refused(message: str) -> Rejected:
    return Rejected(message, Reason.IDENTITY)
