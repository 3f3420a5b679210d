"""Schemas that clients register are data: they fetch nothing and cost linear time."""

from typing import Any

import pytest

from services.ingestion.adapters.json_schema import compile_schema
from shared.kernel.errors import Reason, Rejected


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"$ref": "http://127.0.0.1:1/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/missing"},
        {"pattern": "(?=look)ahead"},
        {"pattern": "("},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as refused:
        compile_schema(schema)

    assert refused.value.reason is Reason.INVALID


@pytest.mark.timeout(60)
def test_a_pattern_that_never_ends_elsewhere_is_linear_here() -> None:
    """Backtracking would take longer than the world has stood, and what is quadratic for hours."""
    validator = compile_schema({"pattern": "^(a+)+$"})

    assert not validator.is_valid("a" * 5_000_000 + "!")


def test_formats_are_checked() -> None:
    validator = compile_schema({"properties": {"at": {"type": "string", "format": "date-time"}}})

    assert validator.is_valid({"at": "2026-01-31T12:00:00Z"})
    assert [v.keyword for v in validator.violations({"at": "31.1.2026"})] == ["format"]


def test_pointers_escape_what_json_pointers_escape() -> None:
    validator = compile_schema({"properties": {"a/b~c": {"type": "string"}}})

    (violation,) = validator.violations({"a/b~c": 1})

    assert violation.pointer == "/a~1b~0c"
