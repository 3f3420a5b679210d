"""The edge over real HTTP: the protocol, swaps under load, and starting with everything else down."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.edge_inference.app import build
from services.edge_inference.settings import Settings
from shared.adapters.artifacts import ArtifactStore
from shared.adapters.champions import Champions
from shared.contracts.models import ModelEvent
from shared.runtime.process import Process
from tests.support.models import INPUT, OUTPUT, champion_event, constant_model, linear_model
from tests.support.running import eventually, running

NOBODY = "127.0.0.1:9"
ROW: dict[str, Any] = {"name": INPUT, "shape": [1, 3], "datatype": "FP32", "data": [0.5, 0.25, 1.0]}


def edge_process(folder: Path, **fields: Any) -> Process:
    """An edge whose Kafka, Redis and registry are all down."""
    settings = Settings(
        http_port=0,
        kafka_bootstrap_servers=NOBODY,
        redis_url=f"redis://{NOBODY}/0",
        registry_url=f"http://{NOBODY}",
        data_dir=folder,
        **fields,
    )
    return build(settings)


def champions_of(process: Process) -> Champions:
    (champions,) = [component for component in process.components if isinstance(component, Champions)]
    return champions


async def promote(process: Process, folder: Path, raw: bytes, version: int) -> ModelEvent:
    """Says what the log would say, with the file at hand, and waits until it is served."""
    ArtifactStore(folder / "artifacts").put(raw)
    event, champions = champion_event(raw, version), champions_of(process)
    champions.on_record(event.key, event)
    await eventually(lambda: champions.served.get(event.model) and champions.served[event.model].event == event)
    return event


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Process, httpx.AsyncClient, Path]]:
    process = edge_process(tmp_path)
    async with running(process) as url, httpx.AsyncClient(base_url=url) as client:
        yield process, client, tmp_path


async def infer(client: httpx.AsyncClient, path: str = "", **body: Any) -> httpx.Response:
    return await client.post(f"/v2/models/propensity{path}/infer", json={"inputs": [ROW]} | body)


async def test_inference_answers_in_the_shape_of_the_protocol(
    served: tuple[Process, httpx.AsyncClient, Path],
) -> None:
    process, client, folder = served
    event = await promote(process, folder, linear_model(), 1)

    answer = (await infer(client, id="r-1", outputs=[{"name": OUTPUT}])).json()

    tensor = answer["outputs"][0]
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("propensity", "1", "r-1")
    assert answer["parameters"] == {"digest": event.digest, "alias": "champion"}
    assert (tensor["name"], tensor["shape"], tensor["datatype"]) == (OUTPUT, [1, 2], "FP32")
    assert tensor["data"] == pytest.approx([0.62245935, 0.37754065])
    assert "id" not in (await infer(client)).json()


async def test_flat_and_nested_data_of_any_number_type_give_the_same_answer(
    served: tuple[Process, httpx.AsyncClient, Path],
) -> None:
    process, client, folder = served
    await promote(process, folder, linear_model(), 1)
    forms: list[dict[str, Any]] = [
        {"data": [1, 0, 1, 0, 1, 1], "datatype": "FP32"},
        {"data": [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], "datatype": "FP64"},
        {"data": [[1, 0, 1], [0, 1, 1]], "datatype": "UINT8"},
        {"data": [True, False, True, False, True, True], "datatype": "BOOL"},
    ]

    answers = [(await infer(client, inputs=[ROW | {"shape": [2, 3]} | form])).json() for form in forms]

    assert [answer["outputs"] for answer in answers] == [answers[0]["outputs"]] * len(forms)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not an inference request"),
        (b'{"inputs": []}', "takes exactly the input 'features'"),
        ({"inputs": [ROW, ROW]}, "takes exactly the input"),
        ({"inputs": [ROW | {"name": "x"}]}, "found ['x']"),
        ({"inputs": [ROW | {"shape": [3]}]}, "expected [rows, 3]"),
        ({"inputs": [ROW | {"shape": [1, 2]}]}, "expected [rows, 3]"),
        ({"inputs": [ROW | {"shape": [2, 3]}]}, "needs 6 elements, found 3"),
        ({"inputs": [ROW | {"shape": [4096, 3]}]}, "at most 1024"),
        ({"inputs": [ROW | {"datatype": "BYTES"}]}, "datatype 'BYTES'"),
        ({"inputs": [ROW | {"datatype": "INT8", "data": [1, 2, 300]}]}, "array of INT8"),
        ({"inputs": [ROW | {"datatype": "INT32", "data": [1, 2.5, 3]}]}, "array of INT32"),
        ({"inputs": [ROW | {"data": [1, "2", 3]}]}, "array of FP32"),
        ({"inputs": [ROW | {"data": [[1, 2], [3]]}]}, "different lengths"),
        ({"inputs": [ROW | {"data": [1e39, 0, 0]}]}, "not a finite float32"),
        ({"inputs": [ROW], "outputs": [{"name": "label"}]}, "no output 'label'"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    served: tuple[Process, httpx.AsyncClient, Path], body: bytes | dict[str, Any], words: str
) -> None:
    process, client, folder = served
    await promote(process, folder, linear_model(), 1)
    sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}

    answer = await client.post("/v2/models/propensity/infer", **sent)

    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


async def test_unknown_models_and_versions_are_not_found(served: tuple[Process, httpx.AsyncClient, Path]) -> None:
    process, client, folder = served
    await promote(process, folder, linear_model(), 3)

    other = await client.post("/v2/models/other/infer", json={"inputs": [ROW]})
    old, present = await infer(client, "/versions/2"), await infer(client, "/versions/3")

    assert (other.status_code, old.status_code, present.status_code) == (404, 404, 200)
    assert "served are: propensity" in other.json()["error"]
    assert "served in version 3, not '2'" in old.json()["error"]


async def test_metadata_and_health_speak_the_protocol(served: tuple[Process, httpx.AsyncClient, Path]) -> None:
    process, client, folder = served
    before = await client.get("/v2/health/ready")
    await promote(process, folder, linear_model(), 2)

    model = (await client.get("/v2/models/propensity")).json()
    ready = await client.get("/v2/models/propensity/versions/2/ready")

    assert before.status_code == 400
    assert (await client.get("/v2/health/ready")).json() == {"ready": True}
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert set((await client.get("/v2")).json()) == {"name", "version", "extensions"}
    assert (model["versions"], model["inputs"]) == (["2"], [{"name": INPUT, "datatype": "FP32", "shape": [-1, 3]}])
    assert ready.json() == {"name": "propensity", "ready": True}
    assert (await client.get("/v2/models/other")).json().keys() == {"error"}


async def test_a_body_that_is_too_long_is_refused_while_it_is_read(tmp_path: Path) -> None:
    process = edge_process(tmp_path, body_bytes_max=2048)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 1024

    async with running(process) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.post("/v2/models/propensity/infer", content=endless())

    assert answer.status_code == 413


async def test_no_request_fails_and_none_mixes_versions_while_champions_swap_under_load(
    served: tuple[Process, httpx.AsyncClient, Path],
) -> None:
    process, client, folder = served
    odd, even = constant_model(0.25), constant_model(0.75)
    await promote(process, folder, odd, 1)
    stop, answers = asyncio.Event(), list[tuple[int, str, float]]()

    async def ask() -> None:
        while not stop.is_set():
            answer = await infer(client)
            body = answer.json()
            answers.append((answer.status_code, body["model_version"], body["outputs"][0]["data"][1]))

    def answered(count: int) -> bool:
        return len(answers) > count

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    for version in range(2, 22):
        await promote(process, folder, even if version % 2 == 0 else odd, version)
        await eventually(partial(answered, len(answers) + 20))
    stop.set()
    await asyncio.gather(*asking)

    assert len(answers) > 400
    assert {status for status, _, _ in answers} == {200}
    assert all(value == pytest.approx(0.75 if int(version) % 2 == 0 else 0.25) for _, version, value in answers)
    assert {version for _, version, _ in answers} >= {str(version) for version in range(2, 22)}


async def test_requests_beyond_the_limit_are_told_to_come_back(tmp_path: Path) -> None:
    process = edge_process(tmp_path, in_flight_max=1)
    held = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await held.wait()
        yield b"}"

    async with running(process) as url, httpx.AsyncClient(base_url=url) as client:
        first = asyncio.create_task(client.post("/v2/models/propensity/infer", content=slow()))
        busy = httpx.Response(0)
        async with asyncio.timeout(5):
            while busy.status_code != 503 or "too many" not in busy.text:
                busy = await infer(client)
        held.set()
        await first

    assert busy.headers["retry-after"] == "1"


async def test_the_edge_starts_from_its_last_known_good_bundle_with_everything_else_down(tmp_path: Path) -> None:
    first = edge_process(tmp_path)
    async with running(first):
        await promote(first, tmp_path, constant_model(0.75), 5)
        await eventually((tmp_path / "bundles" / "propensity.bundle").exists)
    for file in (tmp_path / "artifacts").rglob("*"):
        if file.is_file():
            file.unlink()

    second = edge_process(tmp_path)
    async with running(second) as url, httpx.AsyncClient(base_url=url) as client:
        answer, ready = (await infer(client)).json(), await client.get("/readyz")

    assert (answer["model_version"], answer["outputs"][0]["data"][1]) == ("5", pytest.approx(0.75))
    assert (ready.status_code, ready.json()["checks"]["models"]) == (200, "ok")
    assert "not been read" in ready.json()["checks"]["kafka"]


async def test_a_damaged_bundle_is_left_out_and_the_edge_says_it_is_not_ready(tmp_path: Path) -> None:
    first = edge_process(tmp_path)
    bundle = tmp_path / "bundles" / "propensity.bundle"
    async with running(first):
        await promote(first, tmp_path, constant_model(0.75), 5)
        await eventually(bundle.exists)
    bundle.write_bytes(bundle.read_bytes()[:-40] + b"\x00" * 40)

    second = edge_process(tmp_path)
    async with running(second) as url, httpx.AsyncClient(base_url=url) as client:
        answer, ready = await infer(client), await client.get("/readyz")

    assert (answer.status_code, ready.status_code) == (404, 503)
    assert "no model kept from an earlier run" in ready.json()["checks"]["models"]


async def test_a_champion_that_cannot_be_had_leaves_the_old_one_serving(
    served: tuple[Process, httpx.AsyncClient, Path],
) -> None:
    process, client, folder = served
    await promote(process, folder, constant_model(0.25), 1)
    missing = champion_event(constant_model(0.75), 2)
    champions_of(process).on_record(missing.key, missing)
    await eventually(lambda: "propensity" in champions_of(process).pending)

    answer = (await infer(client)).json()

    assert answer["model_version"] == "1"


async def test_predictions_say_so_when_features_cannot_be_read(
    served: tuple[Process, httpx.AsyncClient, Path],
) -> None:
    process, client, folder = served
    await promote(process, folder, linear_model(), 1)

    answer = await client.post("/predict/propensity", json={"profileId": "0" * 32})

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "features" in answer.json()["detail"]


async def test_metrics_name_the_version_being_served(served: tuple[Process, httpx.AsyncClient, Path]) -> None:
    process, client, folder = served
    await promote(process, folder, linear_model(), 1)
    await promote(process, folder, constant_model(0.5), 2)
    await infer(client)

    text = (await client.get("/metrics")).text

    assert 'freshet_model_info{alias="champion",model="propensity",version="2"} 1.0' in text
    assert 'version="1"' not in text
    assert 'freshet_edge_inference_requests_total{outcome="answered",route="infer"} 1.0' in text
    assert 'freshet_edge_inference_bundle_age_seconds{model="propensity"}' in text
