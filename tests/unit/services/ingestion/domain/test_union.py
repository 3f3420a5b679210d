"""The union schema knows every field of every schema, with all its types."""

from typing import Any

from services.ingestion.adapters.schemas import builtin_schemas
from services.ingestion.domain.registrations import SchemaDefinition, SchemaKind
from services.ingestion.domain.union import union_schema
from shared import pql


def half(kind: SchemaKind, *documents: dict[str, Any]) -> dict[str, Any]:
    schemas = [SchemaDefinition(str(n), str(n), kind, document) for n, document in enumerate(documents)]
    result: dict[str, Any] = union_schema(schemas)["properties"][kind]
    return result


def fields(kind: SchemaKind, *documents: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = half(kind, *documents)["properties"]
    return found


def test_fields_of_all_schemas_of_a_class_unite_at_every_depth() -> None:
    one = {"type": "object", "properties": {"a": {"type": "object", "properties": {"x": {"type": "string"}}}}}
    other = {"type": "object", "properties": {"a": {"type": "object", "properties": {"y": {"type": "number"}}}}}

    united = fields("event", one, other)

    assert united["a"]["properties"] == {"x": {"type": "string"}, "y": {"type": "number"}}


def test_the_classes_stay_apart() -> None:
    schema = SchemaDefinition("s", "s", "event", {"type": "object", "properties": {"a": {"type": "string"}}})

    halves = union_schema([schema])["properties"]

    assert "properties" not in halves["profile"]
    assert set(halves["event"]["properties"]) == {"a"}


def test_a_field_on_which_schemas_disagree_has_both_types() -> None:
    united = fields("event", {"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"type": "integer"}}})

    assert united["a"]["type"] == ["string", "integer"]


def test_constraints_are_left_out() -> None:
    document = {"required": ["a"], "properties": {"a": {"type": "integer", "minimum": 3, "enum": [3, 4]}}}

    assert half("event", document) == {"type": "object", "properties": {"a": {"type": "integer"}}}


def test_references_and_branches_are_resolved_within_their_own_schema() -> None:
    def with_definition(type_: str) -> dict[str, Any]:
        return {"$defs": {"t": {"type": type_}}, "allOf": [{"properties": {type_: {"$ref": "#/$defs/t"}}}]}

    assert fields("event", with_definition("string"), with_definition("number")) == {
        "string": {"type": "string"},
        "number": {"type": "number"},
    }


def test_a_schema_that_refers_to_itself_ends() -> None:
    document = {"type": "object", "properties": {"child": {"$ref": "#"}, "name": {"type": "string"}}}

    assert fields("profile", document)["child"]["properties"]["name"] == {"type": "string"}


def test_the_language_checks_segments_against_what_ships_with_freshet() -> None:
    schema = pql.Schema.from_json_schema(union_schema(builtin_schemas()))

    for text in (
        'homeAddress.countryCode = "US"',
        "_freshet.propensity >= 0.5",
        'xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal) > 100',
        "xEvent[timestamp occurs <= 7 days before now].count() > 2",
    ):
        pql.compile_segment(text, schema)
