"""Registering schemas, datasets and connections."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.services.ingestion.builders import SCHEMA, event
from tests.unit.services.ingestion.doors import Doors, open_doors


def shop(**fields: Any) -> dict[str, Any]:
    return {"title": "shop", "class": "event", "schema": SCHEMA} | fields


async def test_registering_again_returns_what_is_there(doors: Doors) -> None:
    schemas = [await doors.post("/schemas", shop(), 201) for _ in range(2)]
    dataset = {"name": "shop", "schemaId": schemas[0]["id"], "identity": {"path": "/_shop/id", "namespace": "CRM"}}
    datasets = [await doors.post("/datasets", dataset, 201) for _ in range(2)]
    connections = [await doors.post("/connections", {"name": "web"}, 201) for _ in range(2)]

    for first, second in (schemas, datasets, connections):
        assert first == second


async def test_a_changed_schema_is_another_schema(doors: Doors) -> None:
    first = await doors.post("/schemas", shop(), 201)
    second = await doors.post("/schemas", shop(schema={"type": "object"}), 201)

    assert first["id"] != second["id"]


async def test_a_taken_name_with_other_values_is_a_conflict(doors: Doors, dataset_id: str) -> None:
    other = await doors.post("/schemas", shop(schema={"type": "object"}), 201)

    await doors.post("/datasets", {"name": "shop", "schemaId": other["id"]}, 409)


async def test_the_names_that_ship_with_freshet_are_taken(doors: Doors, dataset_id: str) -> None:
    schema = await doors.post("/schemas", shop(), 201)

    await doors.post("/datasets", {"name": "Freshet scores", "schemaId": schema["id"]}, 409)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"$ref": "http://127.0.0.1:1/x"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"pattern": "(?=x)y"}}},
    ],
)
async def test_what_is_no_usable_schema_is_refused(doors: Doors, schema: dict[str, Any]) -> None:
    await doors.post("/schemas", shop(schema=schema), 400)


async def test_a_schema_nested_beyond_reason_is_refused(doors: Doors) -> None:
    schema: dict[str, Any] = {}
    for _ in range(200):
        schema = {"properties": {"a": schema}}

    await doors.post("/schemas", shop(schema=schema), 400)


async def test_a_dataset_needs_a_schema_that_exists(doors: Doors) -> None:
    await doors.post("/datasets", {"name": "shop", "schemaId": "nowhere"}, 404)


@pytest.mark.parametrize("path", ["id", "/", "//", "/a/", ""])
async def test_an_identity_path_is_a_pointer(doors: Doors, path: str) -> None:
    schema = await doors.post("/schemas", shop(), 201)
    identity = {"path": path, "namespace": "CRM"}

    await doors.post("/datasets", {"name": "shop", "schemaId": schema["id"], "identity": identity}, 422)


async def test_a_dataset_is_in_force_once_it_is_registered(doors: Doors, inlet: str) -> None:
    unknown = {"header": {"datasetId": "none"}, "body": {"xdmEntity": event()}}
    assert (await doors.client.post(inlet, json=unknown)).status_code == 404
    schema = await doors.post("/schemas", shop(), 201)
    dataset = await doors.post("/datasets", {"name": "shop", "schemaId": schema["id"]}, 201)

    response = await doors.client.post(inlet, json=unknown | {"header": {"datasetId": dataset["id"]}})

    assert response.status_code == 200


async def test_a_disabled_dataset_takes_nothing_until_it_is_enabled(doors: Doors, inlet: str, dataset_id: str) -> None:
    message = {"header": {"datasetId": dataset_id}, "body": {"xdmEntity": event()}}
    statuses = []

    for enabled in (False, True):
        await doors.client.patch(f"/datasets/{dataset_id}", json={"enabled": enabled})
        statuses.append((await doors.client.post(inlet, json=message)).status_code)

    assert statuses == [404, 200]


async def test_what_is_used_cannot_be_deleted_and_what_is_not_can(doors: Doors, dataset_id: str) -> None:
    dataset = (await doors.client.get(f"/datasets/{dataset_id}")).json()
    connection = await doors.post("/connections", {"name": "bound", "datasetId": dataset_id}, 201)
    paths = [f"/connections/{connection['id']}", f"/datasets/{dataset_id}", f"/schemas/{dataset['schemaId']}"]

    refused = [(await doors.client.delete(path)).status_code for path in reversed(paths)]
    deleted = [(await doors.client.delete(path)).status_code for path in paths]
    gone = [(await doors.client.get(path)).status_code for path in paths]

    assert refused == [409, 409, 204]
    assert deleted == [404, 204, 204]
    assert gone == [404, 404, 404]


async def test_what_ships_with_freshet_stays(doors: Doors) -> None:
    schemas = (await doors.client.get("/schemas")).json()["schemas"]
    datasets = (await doors.client.get("/datasets")).json()["datasets"]

    assert {dataset["id"] for dataset in datasets if dataset["builtIn"]} == {"freshet-scores", "freshet-ticks"}
    assert all("schema" not in schema for schema in schemas)
    assert (await doors.client.delete("/datasets/freshet-scores")).status_code == 409
    assert (await doors.client.patch("/datasets/freshet-ticks", json={"enabled": False})).status_code == 409


async def test_registrations_survive_a_restart(tmp_path: Path) -> None:
    async with open_doors(tmp_path) as doors:
        schema = await doors.post("/schemas", shop(), 201)
        body = {"name": "shop", "schemaId": schema["id"], "identity": {"path": "/a/b", "namespace": "CRM"}}
        dataset = await doors.post("/datasets", body, 201)

    async with open_doors(tmp_path) as doors:
        again = (await doors.client.get(f"/datasets/{dataset['id']}")).json()
        known = doors.catalogue.datasets[str(dataset["id"])]

    assert again == dataset
    assert (known.identity_path, known.identity_namespace) == (("a", "b"), "CRM")


async def test_the_union_shows_what_was_registered(doors: Doors, dataset_id: str) -> None:
    union = (await doors.client.get("/schemas/union")).json()["properties"]

    assert union["event"]["properties"]["rank"] == {"type": "integer"}
    assert union["event"]["properties"]["commerce"]["type"] == "object"
    assert union["profile"]["properties"]["_freshet"]["additionalProperties"] == {"type": "number"}
