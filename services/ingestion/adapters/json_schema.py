"""JSON Schema through jsonschema-rs: draft 2020-12, formats checked, linear-time patterns, nothing fetched."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import jsonschema_rs

from services.ingestion.errors import Violation
from shared.kernel.errors import Reason, Rejected

VIOLATIONS_MAX = 5
_MESSAGE_CHARS_MAX = 300
_MASK = "the value"
"""Stands for the entity's values in messages: they may be personal, and dead letters and logs carry messages."""


class JsonSchemaValidator:
    """Implements `Validator`."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._validator = jsonschema_rs.Draft202012Validator(
            dict(schema),
            validate_formats=True,
            offline=True,
            mask=_MASK,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
        self.is_valid = self._validator.is_valid

    def violations(self, entity: Any) -> tuple[Violation, ...]:
        return tuple(
            Violation(
                schema_location="#" + _pointer(error.schema_path),
                pointer=_pointer(error.instance_path),
                keyword=error.kind.name,
                message=error.message[:_MESSAGE_CHARS_MAX],
            )
            for error in islice(self._validator.iter_errors(entity), VIOLATIONS_MAX)
        )


def compile_schema(schema: Mapping[str, Any]) -> JsonSchemaValidator:
    """Implements `Compile`."""
    dialect = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    if not str(dialect).rstrip("#").endswith("draft/2020-12/schema"):
        raise Rejected(f"the schema is written for {dialect!r}; write it for draft 2020-12", Reason.INVALID)
    try:
        return JsonSchemaValidator(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise Rejected(
            f"the schema cannot be used: {first[:500]} (references must stay inside the schema, patterns be "
            "regular expressions without look-around or back-references)",
            Reason.INVALID,
        ) from None


def _pointer(path: Sequence[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
