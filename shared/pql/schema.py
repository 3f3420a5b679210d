"""The union schema: which paths exist on a profile and on its events, and of which type."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.pql.types import ANY, BOOLEAN, INSTANT, INTEGER, NULL, NUMBER, STRING, Type, array_of, join, map_of

_SCALARS = {"string": STRING, "integer": INTEGER, "number": NUMBER, "boolean": BOOLEAN, "null": NULL}
_EVENT_FIELDS = {"eventType": STRING, "timestamp": INSTANT, "_id": STRING}
# Fields every profile has, whatever its schemas say.
_PROFILE_FIELDS = {"segmentMembership": map_of(map_of(Type("object", open=True))), "identityMap": map_of(array_of(ANY))}
_REFERENCE_DEPTH_MAX = 32


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """Types of the profile's attributes and of its events; open objects allow unknown paths, of type ANY."""

    profile: Type
    event: Type

    @classmethod
    def permissive(cls) -> "Schema":
        """A schema that knows only the reserved fields and lets every other path through."""
        return cls(Type("object", fields=_PROFILE_FIELDS, open=True), Type("object", fields=_EVENT_FIELDS, open=True))

    @classmethod
    def from_json_schema(cls, doc: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> "Schema":
        """Read JSON Schemas of the profile and, if given, of its events; without one, events share the profile's.

        A schema whose `properties` hold both `profile` and `event` objects is read as the two halves.
        """
        halves = doc.get("properties", {})
        if event is None and {"profile", "event"} <= set(halves) and len(halves) == 2:
            profile_type, event_type = _Reader(doc).type(halves["profile"], 0), _Reader(doc).type(halves["event"], 0)
        else:
            profile_type = _Reader(doc).type(doc, 0)
            event_type = _Reader(event).type(event, 0) if event is not None else profile_type
        return cls(_with(profile_type, _PROFILE_FIELDS), _with(event_type, _EVENT_FIELDS))

    @classmethod
    def infer(cls, samples: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]] | None = None) -> "Schema":
        """Infer types from sample values: ISO 8601 texts are instants, values that disagree are ANY.

        Without `events`, the samples describe profile and events alike.
        """
        profile_type: Type = Type("object")
        for sample in samples:
            profile_type = merge(profile_type, infer_type(sample))
        event_type = profile_type if events is None else Type("object")
        for sample in events or ():
            event_type = merge(event_type, infer_type(sample))
        return cls(_with(profile_type, _PROFILE_FIELDS), _with(event_type, _EVENT_FIELDS))


def _with(type_: Type, reserved: Mapping[str, Type]) -> Type:
    return Type("object", fields={**type_.fields, **reserved}, open=type_.open or type_.kind == "any")


class _Reader:
    """Reads one JSON Schema document, following local references."""

    def __init__(self, doc: Mapping[str, Any]) -> None:
        self.doc = doc

    def type(self, node: Any, depth: int) -> Type:
        if not isinstance(node, Mapping) or depth > _REFERENCE_DEPTH_MAX:
            return ANY
        if "$ref" in node:
            return self.type(self._resolve(str(node["$ref"])), depth + 1)
        parts = [self.type(part, depth + 1) for part in node.get("allOf", ())]
        if "properties" in node or node.get("type") == "object" or "additionalProperties" in node:
            parts.append(self._object(node, depth))
        elif not parts:
            return self._scalar(node, depth)
        result = parts[0]
        for part in parts[1:]:
            result = merge(result, part)
        return result

    def _object(self, node: Mapping[str, Any], depth: int) -> Type:
        properties = node.get("properties", {})
        fields = {name: self.type(child, depth + 1) for name, child in properties.items()}
        rest = node.get("additionalProperties")
        if not fields and isinstance(rest, Mapping):
            return map_of(self.type(rest, depth + 1))
        # A schema that says nothing about further properties means the listed ones: a typo must not pass silently.
        return Type("object", fields=fields, open=rest is True or isinstance(rest, Mapping) or not properties)

    def _scalar(self, node: Mapping[str, Any], depth: int) -> Type:
        declared = node.get("type")
        if isinstance(declared, list):
            result = NULL
            for kind in declared:
                result = join(result, self.type({**node, "type": kind}, depth + 1))
            return result
        if declared == "array":
            return array_of(self.type(node.get("items"), depth + 1))
        if declared == "string" and node.get("format") in ("date-time", "date"):
            return INSTANT
        return _SCALARS.get(str(declared), ANY)

    def _resolve(self, reference: str) -> Any:
        node: Any = self.doc
        for part in reference.removeprefix("#/").split("/") if reference.startswith("#/") else ():
            key = part.replace("~1", "/").replace("~0", "~")
            node = node.get(key) if isinstance(node, Mapping) else None
        return node if node is not self.doc else None


def merge(left: Type, right: Type) -> Type:
    """The type of values seen under both: objects unite their fields."""
    if left.kind == right.kind == "object":
        names = [*left.fields, *(name for name in right.fields if name not in left.fields)]
        fields = {
            name: merge(
                left.fields.get(name, right.fields.get(name, ANY)), right.fields.get(name, left.fields.get(name, ANY))
            )
            for name in names
        }
        return Type("object", fields=fields, open=left.open or right.open)
    if left.kind == right.kind == "array":
        return array_of(merge(left.item or ANY, right.item or ANY))
    return join(left, right)


def infer_type(value: Any) -> Type:
    """The type of one JSON value."""
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int():
            return INTEGER
        case float():
            return NUMBER
        case datetime():
            return INSTANT
        case str():
            return INSTANT if _looks_like_an_instant(value) else STRING
        case Mapping():
            return Type("object", fields={str(name): infer_type(child) for name, child in value.items()})
        case list() | tuple():
            item: Type = NULL
            for child in value:
                item = merge(item, infer_type(child))
            return array_of(item if value else ANY)
        case _:
            return ANY


def _looks_like_an_instant(value: str) -> bool:
    if len(value) < 10 or value[4] != "-":
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
