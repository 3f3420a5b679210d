"""What the union schema lets through and what it refuses."""

from typing import Any

import pytest

from shared.pql import CheckError, Profile, Schema, SegmentSpec, build_plan, compile_segment, evaluate, new_state

PROFILE: dict[str, Any] = {
    "type": "object",
    "$defs": {"address": {"type": "object", "properties": {"city": {"type": "string"}}}},
    "properties": {
        "home": {"$ref": "#/$defs/address"},
        "age": {"type": ["integer", "null"]},
        "born": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "consents": {"type": "object", "additionalProperties": {"type": "string"}},
        "_open": {"type": "object"},
    },
    "allOf": [
        {"type": "object", "properties": {"loyalty": {"type": "object", "properties": {"tier": {"type": "string"}}}}}
    ],
}
EVENT: dict[str, Any] = {"type": "object", "properties": {"price": {"type": "number"}}}
STRICT = Schema.from_json_schema(PROFILE, EVENT)


@pytest.mark.parametrize(
    "text",
    [
        'home.city = "Seoul"',
        "age > 3",
        "born occurs before now",
        'born = "2024-01-01"',
        'tags = "a"',
        'consents.get("mail") = "y"',
        'consents.mail = "y"',
        "_open.anything.below > 1",
        'loyalty.tier = "gold"',
        "xEvent.sum(price) > 1",
        'identityMap.keys().includes("Email")',
        "exists E from xEvent where E.price > age",
    ],
)
def test_known_paths_are_accepted(text: str) -> None:
    assert compile_segment(text, STRICT).text == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('home.town = "Seoul"', "`town` is not a field of `home`"),
        ("xEvent.sum(cost) > 1", "`cost` is not a field of the events"),
        ("ag > 3", "did you mean `age`"),
        ('age = "3"', "cannot compare integer with string"),
        ("tags > 3", "cannot compare"),
        ("age.city = 1", "not a field"),
        ("home.sum(city) > 1", "needs an array"),
        ('age.startsWith("3")', "needs text"),
        ("age occurs before home.city and tags.sum() > 1", "needs numbers"),
        ("home", "expected a condition"),
    ],
)
def test_unknown_paths_and_wrong_types_are_refused(text: str, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        compile_segment(text, STRICT)


def test_one_document_may_hold_both_halves() -> None:
    both = Schema.from_json_schema({"type": "object", "properties": {"profile": PROFILE, "event": EVENT}})

    assert compile_segment("age > 1 and xEvent.sum(price) > 1", both)


def test_a_union_schema_serves_profile_and_events() -> None:
    union = Schema.from_json_schema(PROFILE)

    assert compile_segment('age > 1 and xEvent[home.city = "Seoul"].count() > 1', union)


def test_types_are_inferred_from_samples() -> None:
    inferred = Schema.infer([{"age": 3, "since": "2024-01-01T00:00:00Z"}, {"age": 2.5, "mixed": 1}, {"mixed": "x"}])

    assert compile_segment('age > 2.5 and since occurs before now and mixed = "x"', inferred)
    with pytest.raises(CheckError, match="did you mean `since`"):
        compile_segment("sinc occurs before now", inferred)


def test_a_field_declared_boolean_may_hold_anything() -> None:
    declared = Schema.from_json_schema({"type": "object", "properties": {"flag": {"type": "boolean"}}})
    plan = build_plan([SegmentSpec("s", 1, compile_segment("flag", declared))])

    for value, expected in ((True, {"s"}), (None, set()), ("true", set()), (False, set())):
        outcome = evaluate(plan, new_state(), Profile("u1", {"flag": value}), None, 0)
        assert set(outcome.state.members) == expected
