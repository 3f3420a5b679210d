"""Doors that are open for one test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.services.ingestion.builders import SCHEMA
from tests.unit.services.ingestion.doors import Doors, open_doors


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    async with open_doors(tmp_path) as opened:
        yield opened


@pytest.fixture
async def dataset_id(doors: Doors) -> str:
    """A dataset of shop events."""
    schema = await doors.post("/schemas", {"title": "shop", "class": "event", "schema": SCHEMA}, 201)
    return str((await doors.post("/datasets", {"name": "shop", "schemaId": schema["id"]}, 201))["id"])


@pytest.fixture
async def inlet(doors: Doors) -> str:
    """The path of a connection that takes every dataset."""
    connection = await doors.post("/connections", {"name": "web"}, 201)
    return f"/collection/{connection['id']}"
