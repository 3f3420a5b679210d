"""JSON Schema through jsonschema-rs, and the schemas that ship with Freshet."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from services.ingestion.domain import Violation
from services.ingestion.ports import RegisteredDataset, RegisteredSchema
from shared.contracts.inbound import SCORES_DATASET, TICKS_DATASET
from shared.kernel.errors import Reason, Rejected

_FOLDER = Path(__file__).parent.parent / "schemas"

EVENT_SCHEMA = "https://ns.adobe.com/xdm/context/experienceevent"
PROFILE_SCHEMA = "https://ns.adobe.com/xdm/context/profile"
_SCORES_SCHEMA = "freshet-scores"
_TICKS_SCHEMA = "freshet-ticks"


def _shipped(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text())
    return document


def builtin_schemas() -> list[RegisteredSchema]:
    """The XDM schemas and those of Freshet's own facts."""
    return [
        RegisteredSchema(EVENT_SCHEMA, "XDM ExperienceEvent", "event", _shipped("experience-event"), builtin=True),
        RegisteredSchema(PROFILE_SCHEMA, "XDM Individual Profile", "profile", _shipped("profile"), builtin=True),
        RegisteredSchema(_SCORES_SCHEMA, "Freshet scores", "profile", _shipped("scores"), builtin=True),
        RegisteredSchema(_TICKS_SCHEMA, "Freshet ticks", "profile", {"type": "object"}, builtin=True),
    ]


def builtin_datasets() -> list[RegisteredDataset]:
    """The datasets of Freshet's own facts."""
    return [
        RegisteredDataset(SCORES_DATASET, "Freshet scores", _SCORES_SCHEMA, builtin=True),
        RegisteredDataset(TICKS_DATASET, "Freshet ticks", _TICKS_SCHEMA, builtin=True),
    ]


class JsonSchemaValidator:
    """Implements `Validator`. Formats (date-time, ...) are checked; patterns run on a linear-time engine."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._validator = jsonschema_rs.validator_for(
            dict(document), validate_formats=True, pattern_options=jsonschema_rs.RegexOptions()
        )

    def is_valid(self, entity: Any) -> bool:
        return self._validator.is_valid(entity)

    def violations(self, entity: Any, limit: int) -> list[Violation]:
        found: list[Violation] = []
        for error in self._validator.iter_errors(entity):
            keyword = str(error.schema_path[-1]) if error.schema_path else ""
            message = error.message if len(error.message) <= 300 else error.message[:300] + "..."
            found.append(Violation(_pointer(error.instance_path), _pointer(error.schema_path), keyword, message))
            if len(found) == limit:
                break
        return found


def _pointer(path: Any) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


class JsonSchemaCompiler:
    """Implements `SchemaCompiler`."""

    def check(self, document: Mapping[str, Any]) -> None:
        try:
            JsonSchemaValidator(document)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            raise Rejected(f"this is not a JSON Schema: {str(error)[:500]}", Reason.SCHEMA) from None
