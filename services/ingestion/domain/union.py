"""The union schema: every field that any registered schema knows, for the type checks of segments and features.

Constraints (required, enum, pattern, ranges) are left out, since a field may come from a schema that lacks them.
Fields on which schemas disagree have all their types. References are followed within a schema.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from services.ingestion.domain.registrations import SchemaDefinition, SchemaKind

Node = dict[str, Any]

_DEPTH_MAX = 32
_BRANCHES = ("allOf", "anyOf", "oneOf")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def union_schema(schemas: Iterable[SchemaDefinition]) -> Node:
    """Returns one JSON Schema with two halves, `properties.profile` and `properties.event`."""
    halves: dict[SchemaKind, Node] = {"profile": {"type": "object"}, "event": {"type": "object"}}
    for definition in schemas:
        halves[definition.kind] = _merge(halves[definition.kind], _fold(definition.document, definition.document, 0))
    return {
        "$schema": _DIALECT,
        "title": "Union of all registered schemas",
        "type": "object",
        "properties": dict(halves),
    }


def _fold(node: Any, root: Mapping[str, Any], depth: int) -> Node:
    """Reduces a schema to types and fields, with references and branches resolved."""
    if not isinstance(node, Mapping) or depth > _DEPTH_MAX:
        return {}
    result: Node = {}
    kind = node.get("type", "object" if "properties" in node else None)
    if kind is not None:
        result["type"] = kind
    for keyword in ("format", "title", "description"):
        if isinstance(node.get(keyword), str):
            result[keyword] = node[keyword]
    if isinstance(node.get("properties"), Mapping):
        result["properties"] = {name: _fold(child, root, depth + 1) for name, child in node["properties"].items()}
    if isinstance(node.get("items"), Mapping):
        result["items"] = _fold(node["items"], root, depth + 1)
    rest = node.get("additionalProperties")
    if rest is True:
        result["additionalProperties"] = True
    elif isinstance(rest, Mapping):
        result["additionalProperties"] = _fold(rest, root, depth + 1)
    others = [_resolve(node["$ref"], root)] if isinstance(node.get("$ref"), str) else []
    for branch in _BRANCHES:
        others.extend(node[branch] if isinstance(node.get(branch), list) else [])
    for other in others:
        result = _merge(result, _fold(other, root, depth + 1))
    return result


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    node: Any = root
    for part in reference.removeprefix("#").removeprefix("/").split("/") if reference.startswith("#/") else ():
        name = part.replace("~1", "/").replace("~0", "~")
        node = node.get(name) if isinstance(node, Mapping) else None
    return node if reference.startswith("#") else None


def _merge(left: Node, right: Node) -> Node:
    if not left or not right:
        return dict(left or right)
    result = {**right, **left}
    kinds = [*_kinds(left), *(kind for kind in _kinds(right) if kind not in _kinds(left))]
    if kinds:
        result["type"] = kinds[0] if len(kinds) == 1 else kinds
    if left.get("format") != right.get("format") and "string" in _kinds(left) and "string" in _kinds(right):
        result.pop("format", None)
    if "properties" in left and "properties" in right:
        fields = dict(left["properties"])
        for name, child in right["properties"].items():
            fields[name] = _merge(fields[name], child) if name in fields else child
        result["properties"] = fields
    if "items" in left and "items" in right:
        result["items"] = _merge(left["items"], right["items"])
    rests = [node["additionalProperties"] for node in (left, right) if "additionalProperties" in node]
    if len(rests) == 2:
        both = isinstance(rests[0], dict) and isinstance(rests[1], dict)
        result["additionalProperties"] = _merge(rests[0], rests[1]) if both else True
    return result


def _kinds(node: Node) -> list[str]:
    kind = node.get("type")
    return [kind] if isinstance(kind, str) else list(kind or ())
