"""The collection doors: what is answered 2xx is durable, everything else is told and not taken."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.kernel.ids import profile_id
from tests.unit.services.ingestion.builders import event, message
from tests.unit.services.ingestion.doors import Doors, open_doors


def body(entity: dict[str, Any], dataset_id: str) -> Any:
    return msgspec.to_builtins(message(entity, dataset_id))


async def test_a_valid_message_is_logged_as_sent_under_its_profile(doors: Doors, inlet: str, dataset_id: str) -> None:
    raw = b'{ "header": {"datasetId": "%s"}, "body": {"xdmEntity": %s} }' % (
        dataset_id.encode(),
        msgspec.json.encode(event()),
    )

    response = await doors.client.post(inlet, content=raw, headers={"traceparent": "00-ab-cd-01"})

    assert response.status_code == 200
    assert response.json() == {
        "inletId": inlet.rpartition("/")[2],
        "xactionId": "1000:0:0",
        "receivedTimeMs": 1000,
        "syncValidation": {"skipped": False, "status": "pass"},
    }
    key = profile_id("default", "Email", "ann@example.com")
    assert doors.log.rows == [(key, raw, (("traceparent", b"00-ab-cd-01"),))]


async def test_an_invalid_message_is_reported_field_by_field(doors: Doors, inlet: str, dataset_id: str) -> None:
    entity = event(person={"birthYear": "old"}, tier="iron")

    response = await doors.client.post(f"{inlet}?syncValidation=true", json=body(entity, dataset_id))

    answer = response.json()
    assert (response.status_code, answer["title"]) == (400, "Invalid XDM Message Format")
    report = answer["report"]["cause"]["_streamingValidation"]
    assert {(cause["pointerToViolation"], cause["keyword"]) for cause in report} == {
        ("#/person/birthYear", "type"),
        ("#/tier", "enum"),
    }
    assert doors.log.rows == []


async def test_a_batch_answers_each_message_in_order(doors: Doors, inlet: str, dataset_id: str) -> None:
    doors.log.refuse_keys = {profile_id("default", "Email", "bob@example.com")}
    bob = event(identityMap={"Email": [{"id": "bob@example.com"}]})
    messages = [
        body(event(), dataset_id),
        body(event(tier="iron"), dataset_id),
        {"header": {}},
        body(bob, dataset_id),
        body(event(), "nowhere"),
        body(event(_id="e2"), dataset_id),
    ]

    answer = await doors.post(inlet.replace("collection", "collection/batch"), {"messages": messages}, 207)

    responses: Any = answer["responses"]
    assert [part.get("statusCode", part.get("xactionId")) for part in responses] == [
        "1000:0:0",
        400,
        400,
        503,
        404,
        "1000:0:1",
    ]
    assert responses[1]["report"]["cause"]["_streamingValidation"][0]["pointerToViolation"] == "#/tier"


async def test_a_batch_none_of_which_is_confirmed_is_to_be_sent_again(
    doors: Doors, inlet: str, dataset_id: str
) -> None:
    doors.log.down = True

    response = await doors.client.post(
        inlet.replace("collection", "collection/batch"), json={"messages": [body(event(), dataset_id)]}
    )

    assert (response.status_code, "retry-after" in response.headers) == (503, True)


async def test_without_kafka_the_answer_is_503_and_when_to_try_again(doors: Doors, inlet: str, dataset_id: str) -> None:
    doors.log.down = True

    response = await doors.client.post(inlet, json=body(event(), dataset_id))

    assert (response.status_code, "retry-after" in response.headers) == (503, True)
    assert 1 == doors.registry.get_sample_value("freshet_ingestion_events_total", {"outcome": "unconfirmed"})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"[]", "envelope"),
        (b"{}", "envelope"),
        (b'{"header":{"datasetId":"D"},"body":{"xdmEntity":{"x":NaN}}}', "bad_json"),
        (b'{"header":{"datasetId":"D"},"body":{"xdmEntity":{"x":"\\ud800"}}}', "bad_json"),
        (b'{"header":{"datasetId":"D"},"body":{"xdmEntity":{"x":"\xff"}}}', "bad_json"),
        (b'{"header":{"datasetId":"D"},"body":{"xdmEntity":{"x":1e999}}}', "envelope"),
        (b'{"header":{"datasetId":"D"},"body":{"xdmEntity":{"x":' + b"1" * 5000 + b"}}}", "envelope"),
        (b'{"header":{"datasetId":"D"},"body":{"xdmEntity":{"x":' + b"[" * 9000 + b"]" * 9000 + b"}}}", "too_deep"),
    ],
)
async def test_hostile_json_is_answered_400_with_the_reason(
    doors: Doors, inlet: str, dataset_id: str, raw: bytes, reason: str
) -> None:
    response = await doors.client.post(inlet, content=raw.replace(b'"D"', f'"{dataset_id}"'.encode()))

    assert (response.status_code, response.json()["reason"]) == (400, reason)
    assert doors.log.rows == []


async def test_of_a_key_given_twice_the_last_value_counts(doors: Doors, inlet: str, dataset_id: str) -> None:
    entity = msgspec.json.encode(event())[:-1] + b',"rank":"no","rank":1}'
    raw = b'{"header":{"datasetId":"%s"},"body":{"xdmEntity":%s}}' % (dataset_id.encode(), entity)

    assert (await doors.client.post(inlet, content=raw)).status_code == 200


async def test_an_unknown_connection_or_dataset_is_404(doors: Doors, inlet: str, dataset_id: str) -> None:
    nowhere = await doors.client.post("/collection/nowhere", json=body(event(), dataset_id))
    nothing = await doors.client.post(inlet, json=body(event(), "nothing"))

    assert (nowhere.status_code, nothing.status_code) == (404, 404)


async def test_a_connection_of_one_dataset_takes_no_other(doors: Doors, dataset_id: str) -> None:
    bound = await doors.post("/connections", {"name": "bound", "datasetId": dataset_id}, 201)
    path = f"/collection/{bound['id']}"

    assert (await doors.client.post(path, json=body(event(), dataset_id))).status_code == 200
    assert (await doors.client.post(path, json=body(event(), "freshet-scores"))).status_code == 400


async def test_ticks_do_not_come_in_over_http(doors: Doors, inlet: str) -> None:
    response = await doors.client.post(inlet, json=body({}, "freshet-ticks"))

    assert response.status_code == 400


async def test_a_body_beyond_a_megabyte_is_413_announced_or_chunked(doors: Doors, inlet: str, dataset_id: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 64 * 1024

    announced = await doors.client.post(inlet, content=b" " * (1024 * 1024 + 1))
    chunked = await doors.client.post(inlet, content=chunks())

    assert (announced.status_code, chunked.status_code) == (413, 413)


async def test_a_batch_of_more_than_a_thousand_messages_is_413(doors: Doors, inlet: str) -> None:
    await doors.post(inlet.replace("collection", "collection/batch"), {"messages": [{}] * 1001}, 413)


async def test_a_compressed_body_is_not_taken(doors: Doors, inlet: str) -> None:
    response = await doors.client.post(inlet, content=b"\x1f\x8b", headers={"content-encoding": "gzip"})

    assert response.status_code == 415


async def test_a_body_that_does_not_come_is_408(tmp_path: Path) -> None:
    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with open_doors(tmp_path, body_timeout_s=0.05) as doors:
        connection = await doors.post("/connections", {"name": "web"}, 201)

        response = await doors.client.post(f"/collection/{connection['id']}", content=stalls())

    assert response.status_code == 408


async def test_bytes_in_flight_are_bounded_and_given_back(tmp_path: Path) -> None:
    async with open_doors(tmp_path, in_flight_bytes_max=1024 * 1024) as doors:
        connection = await doors.post("/connections", {"name": "web"}, 201)
        batch = f"/collection/batch/{connection['id']}"

        refused = await doors.client.post(batch, content=b" " * 1024 * 1025)
        small = await doors.client.post(batch, json={"messages": [{}]})

        held = doors.registry.get_sample_value("freshet_ingestion_in_flight_bytes")

    assert (refused.status_code, small.status_code, held) == (503, 207, 0)


async def test_messages_in_flight_are_bounded(tmp_path: Path) -> None:
    async with open_doors(tmp_path, in_flight_max=1) as doors:
        doors.log.open_.clear()
        connection = await doors.post("/connections", {"name": "web"}, 201)
        schema = await doors.post("/schemas", {"title": "any", "class": "event", "schema": {}}, 201)
        dataset = await doors.post("/datasets", {"name": "any", "schemaId": schema["id"]}, 201)
        request = body(event(), str(dataset["id"]))
        first = asyncio.create_task(doors.client.post(f"/collection/{connection['id']}", json=request))
        await doors.log.entered.wait()

        second = await doors.client.post(f"/collection/{connection['id']}", json=request)
        doors.log.open_.set()

        assert ((await first).status_code, second.status_code) == (200, 503)


async def test_of_a_batch_that_does_not_fit_in_flight_the_first_messages_are_taken(tmp_path: Path) -> None:
    async with open_doors(tmp_path, in_flight_max=2) as doors:
        connection = await doors.post("/connections", {"name": "web"}, 201)
        schema = await doors.post("/schemas", {"title": "any", "class": "event", "schema": {}}, 201)
        dataset = await doors.post("/datasets", {"name": "any", "schemaId": schema["id"]}, 201)
        messages = [body(event(_id=f"e{number}"), str(dataset["id"])) for number in range(3)]

        answer = await doors.post(f"/collection/batch/{connection['id']}", {"messages": messages}, 207)
        held = doors.registry.get_sample_value("freshet_ingestion_in_flight")

    responses: Any = answer["responses"]
    assert [None, None, 503] == [part.get("statusCode") for part in responses]
    assert (["1000:0:0", "1000:0:1"], 0) == ([part["xactionId"] for part in responses[:2]], held)


@pytest.mark.parametrize("path", ["/collection/", "/collection/a/b", "/collection/batch/", "/collection/batch/a/b"])
async def test_what_names_no_connection_is_404(doors: Doors, path: str) -> None:
    response = await doors.client.post(path, json={})

    assert (404, "application/problem+json") == (response.status_code, response.headers["content-type"])


async def test_messages_are_only_posted(doors: Doors, inlet: str) -> None:
    response = await doors.client.get(inlet)

    assert (405, "POST") == (response.status_code, response.headers["allow"])


async def test_the_description_names_the_routes_in_front_of_fastapi(doors: Doors) -> None:
    paths = (await doors.client.get("/openapi.json")).json()["paths"]

    assert {"/collection/{connection_id}", "/collection/batch/{connection_id}", "/datasets"} <= set(paths)


async def test_a_client_that_goes_before_its_body_is_complete_is_not_answered(doors: Doors, inlet: str) -> None:
    parts = iter(
        [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}],
    )
    sent: list[object] = []

    async def receive() -> Any:
        return next(parts)

    async def send(part: object) -> None:
        sent.append(part)

    await doors.app({"type": "http", "method": "POST", "path": inlet, "headers": []}, receive, send)

    held = doors.registry.get_sample_value("freshet_ingestion_in_flight_bytes")
    assert ([], [], 0) == (sent, doors.log.rows, held)
