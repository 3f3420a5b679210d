"""The registry as its clients see it: the real application on a real SQLite file, with Kafka down."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from services.model_registry.app import build
from services.model_registry.settings import Settings
from shared.adapters.sql import Database
from shared.contracts.models import ModelEvent, ModelManifest, Parity
from shared.runtime.process import Process
from tests.support.models import constant_model, linear_model, manifest_of


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    settings = Settings(
        database_url=f"sqlite+aiosqlite:///{tmp_path}/sql/registry.db",
        data_dir=tmp_path / "data",
        artifact_bytes_max=1_000_000,
    )
    process = build(settings)
    database = process.components[0]
    await database.start()
    yield process
    await database.stop()


@pytest.fixture
async def client(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(process.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://registry") as client:
        yield client


async def upload(
    client: httpx.AsyncClient, raw: bytes, manifest: ModelManifest | None = None, name: str = "propensity"
) -> httpx.Response:
    told = msgspec.json.encode(manifest or manifest_of(raw))
    files = {"manifest": ("manifest.json", told), "model": ("model.onnx", raw)}
    return await client.post(f"/models/{name}/versions", files=files)


async def move(client: httpx.AsyncClient, version: int, expected: int) -> httpx.Response:
    body = {"version": version, "expectedRevision": expected}
    return await client.put("/models/propensity/aliases/champion", json=body)


def database_of(process: Process) -> Database:
    database = process.components[0]
    assert isinstance(database, Database)
    return database


async def outbox_of(process: Process) -> list[ModelEvent]:
    async with database_of(process).engine.connect() as connection:
        rows = (await connection.execute(text("SELECT value FROM outbox ORDER BY id"))).all()
    return [msgspec.json.decode(row.value, type=ModelEvent) for row in rows]


async def test_versions_count_up_and_the_same_file_keeps_its_version(client: httpx.AsyncClient) -> None:
    first, second = linear_model(), constant_model(0.25)

    answers = [await upload(client, raw) for raw in (first, second, first)]

    assert [(a.status_code, a.json()["version"]) for a in answers] == [(201, 1), (201, 2), (200, 1)]
    assert (await client.get("/models")).json() == {"models": [{"name": "propensity"}]}
    listed = (await client.get("/models/propensity")).json()
    assert [version["version"] for version in listed["versions"]] == [1, 2]
    one = (await client.get("/models/propensity/versions/1")).json()
    assert one["manifest"]["digest"] == manifest_of(first).digest


async def test_an_artifact_is_served_by_digest_with_an_etag(client: httpx.AsyncClient) -> None:
    raw = linear_model()
    digest = (await upload(client, raw)).json()["digest"]

    found = await client.get(f"/artifacts/{digest}")
    again = await client.get(f"/artifacts/{digest}", headers={"If-None-Match": found.headers["etag"]})

    assert (found.content, found.headers["etag"]) == (raw, f'"{digest}"')
    assert (again.status_code, again.content) == (304, b"")


async def test_a_file_changed_on_disk_is_never_served_nor_promoted(client: httpx.AsyncClient, tmp_path: Path) -> None:
    digest = (await upload(client, linear_model())).json()["digest"]
    stored = tmp_path / "data" / "sha256" / digest[:2] / digest
    stored.write_bytes(stored.read_bytes()[:-1] + b"\x00")

    served, promoted = await client.get(f"/artifacts/{digest}"), await move(client, 1, 0)

    assert (served.status_code, promoted.status_code) == (422, 422)
    assert "was changed on disk" in served.json()["detail"]


@pytest.mark.parametrize("digest", ["..%2f..%2fetc%2fpasswd", "0" * 64, "A" * 64])
async def test_what_is_no_stored_digest_is_not_found(client: httpx.AsyncClient, digest: str) -> None:
    assert (await client.get(f"/artifacts/{digest}")).status_code == 404


async def test_an_alias_moves_by_compare_and_set_and_keeps_its_history(client: httpx.AsyncClient) -> None:
    for raw in (linear_model(), constant_model(0.25)):
        await upload(client, raw)

    moves = [await move(client, 1, 0), await move(client, 2, 1), await move(client, 1, 1), await move(client, 1, 2)]

    assert [m.status_code for m in moves] == [200, 200, 409, 200]
    stale = moves[2].json()
    assert (stale["presentRevision"], stale["presentVersion"]) == (2, 2)
    assert "expectedRevision 2" in stale["detail"]
    history = (await client.get("/models/propensity/aliases/champion/history")).json()["history"]
    assert [(h["revision"], h["version"]) for h in history] == [(1, 1), (2, 2), (3, 1)]
    assert (await client.get("/models/propensity/aliases/champion")).json()["version"] == 1


async def test_a_move_whose_answer_was_lost_can_be_sent_again(client: httpx.AsyncClient) -> None:
    await upload(client, linear_model())
    first = await move(client, 1, 0)

    again = await move(client, 1, 0)

    assert (again.status_code, again.json()) == (200, first.json())


async def test_of_many_moves_at_once_exactly_one_wins(client: httpx.AsyncClient) -> None:
    for raw in (linear_model(), constant_model(0.25)):
        await upload(client, raw)

    answers = await asyncio.gather(*(move(client, 1 + n % 2, 0) for n in range(8)))

    winner = (await client.get("/models/propensity/aliases/champion")).json()
    assert winner["revision"] == 1
    won = [n for n, answer in enumerate(answers) if answer.status_code == 200]
    assert {1 + n % 2 for n in won} == {winner["version"]}


async def test_many_uploads_at_once_get_numbers_without_holes(client: httpx.AsyncClient) -> None:
    models = [constant_model(n / 10) for n in range(1, 6)]

    answers = await asyncio.gather(*(upload(client, raw) for raw in models))

    assert sorted(answer.json()["version"] for answer in answers) == [1, 2, 3, 4, 5]


async def test_events_wait_in_the_outbox_in_order_while_kafka_is_down(
    client: httpx.AsyncClient, process: Process
) -> None:
    await upload(client, linear_model())
    await move(client, 1, 0)

    events = await outbox_of(process)

    assert [event.key for event in events] == ["propensity/versions/1", "propensity/aliases/champion"]
    assert [event.manifest.digest for event in events] == [event.digest for event in events]


async def test_the_database_itself_refuses_to_change_a_version(client: httpx.AsyncClient, process: Process) -> None:
    await upload(client, linear_model())

    for statement in ("UPDATE versions SET digest = 'x'", "DELETE FROM versions"):
        with pytest.raises(DatabaseError, match="rows of versions never change"):
            async with database_of(process).begin() as connection:
                await connection.execute(text(statement))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "other"}, "describes model 'other'"),
        ({"digest": "0" * 64}, "send the file it was made for"),
        ({"defaults": (0.0,)}, "3 features but 1 defaults"),
        ({"threshold": 1.5}, "expected a probability"),
        ({"parity": Parity(50, 0.93, 12)}, "largest difference 0.93 (allowed 1e-05), 12 label flips"),
        ({"parity": Parity(50, float("nan"), 0)}, "not a model manifest"),
        ({"parity": Parity(0, 0.0, 0)}, "covers no rows"),
    ],
)
async def test_a_manifest_that_does_not_fit_is_refused_with_the_reason(
    client: httpx.AsyncClient, fields: dict[str, Any], words: str
) -> None:
    raw = linear_model()

    answer = await upload(client, raw, manifest_of(raw, **fields))

    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert (await client.get("/models/propensity")).status_code == 404


async def test_a_file_that_is_no_model_is_refused_with_the_reason(client: httpx.AsyncClient) -> None:
    raw = b"not a model at all"

    answer = await upload(client, raw, manifest_of(raw))

    assert answer.status_code == 422
    assert "is not an ONNX model" in answer.json()["detail"]


async def test_uploads_that_are_too_big_or_lack_a_part_are_refused(client: httpx.AsyncClient) -> None:
    big = await upload(client, b"x" * 3_000_000, manifest_of(linear_model()))
    part = await client.post("/models/propensity/versions", files={"model": ("m", linear_model())})
    name = await upload(client, linear_model(), name="No-Good")

    assert (big.status_code, part.status_code, name.status_code) == (413, 400, 422)
    assert "lacks the part 'manifest'" in part.json()["detail"]


async def test_readiness_names_kafka_when_it_is_down(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "ok"
    assert "not connected" in answer.json()["checks"]["kafka"]
