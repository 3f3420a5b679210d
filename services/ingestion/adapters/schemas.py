"""Schemas and datasets that ship with Freshet, from the JSON files in `schemas/`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from services.ingestion.domain.registrations import DatasetDefinition, SchemaDefinition
from shared.contracts.inbound import SCORES_DATASET, TICKS_DATASET

EVENT_SCHEMA = "https://ns.adobe.com/xdm/context/experienceevent"
PROFILE_SCHEMA = "https://ns.adobe.com/xdm/context/profile"

_FOLDER = Path(__file__).parent.parent / "schemas"


@cache
def builtin_schemas() -> tuple[SchemaDefinition, ...]:
    """The XDM schemas and those of Freshet's own facts."""
    return (
        SchemaDefinition(EVENT_SCHEMA, "XDM ExperienceEvent", "event", _shipped("experience-event"), builtin=True),
        SchemaDefinition(PROFILE_SCHEMA, "XDM Individual Profile", "profile", _shipped("profile"), builtin=True),
        SchemaDefinition(SCORES_DATASET, "Freshet scores", "profile", _shipped("scores"), builtin=True),
        SchemaDefinition(TICKS_DATASET, "Freshet ticks", "profile", {"type": "object"}, builtin=True),
    )


@cache
def builtin_datasets() -> tuple[DatasetDefinition, ...]:
    """The datasets of Freshet's own facts; clients register theirs."""
    return (
        DatasetDefinition(SCORES_DATASET, "Freshet scores", SCORES_DATASET, builtin=True),
        DatasetDefinition(TICKS_DATASET, "Freshet ticks", TICKS_DATASET, builtin=True),
    )


def _shipped(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return document
