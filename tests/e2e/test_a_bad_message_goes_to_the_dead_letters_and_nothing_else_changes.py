"""Bad input is told or dead-lettered; the people beside it are served."""

import json
from uuid import uuid4

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from tests.e2e.conftest import Shop
from tests.support.topic_reading import read_topic
from tests.support.waiting import eventually, wait_until

pytestmark = pytest.mark.platform


async def dead_letters(shop: Shop, marker: bytes) -> list[tuple[dict[str, bytes], bytes]]:
    """Headers and raw value of the dead letters of `inbound` that hold `marker`."""
    records = await read_topic(shop.system.platform.kafka_bootstrap_servers, "inbound-dlq")
    return [(dict(record.headers), record.value) for record in records if marker in record.value]


async def test_what_cannot_be_read_reaches_the_dead_letters_unchanged_and_the_next_message_is_served(
    shop: Shop,
) -> None:
    viewers = shop.define('xEvent[eventType = "commerce.productViews"].count() > 0')
    marker, person = uuid4().hex.encode(), shop.person()
    good = msgspec.json.encode(shop.event(person, "commerce.productViews"))
    wrong_type = json.loads(good)
    wrong_type["body"]["xdmEntity"] |= {"_id": marker.decode(), "commerce": {"order": {"priceTotal": "a lot"}}}
    no_person = json.loads(good)
    no_person["body"]["xdmEntity"] |= {"_id": marker.decode() + "-2", "identityMap": {}}
    poison = [b"{" + marker, json.dumps(wrong_type).encode(), json.dumps(no_person).encode()]
    producer = AIOKafkaProducer(bootstrap_servers=shop.system.platform.kafka_bootstrap_servers, acks="all")
    await producer.start()

    for raw in [*poison, good]:
        await producer.send_and_wait("inbound", raw, partition=3)
    await producer.stop()

    async def three() -> list[tuple[dict[str, bytes], bytes]]:
        found = await dead_letters(shop, marker)
        return found if len(found) >= 3 else []

    letters = await eventually(three, "three dead letters")
    shop.wait_status(person, viewers, "realized")
    assert poison == [raw for _, raw in letters]
    assert [b"bad_json", b"schema", b"identity"] == [headers["freshet-dlq-reason"] for headers, _ in letters]
    assert {(3).to_bytes(4, "big")} == {headers["kafka_dlt-original-partition"] for headers, _ in letters}


def test_over_http_an_invalid_message_is_answered_with_a_report_of_each_field(shop: Shop) -> None:
    message = shop.purchase(shop.person(), 1.0)
    entity = message.body.xdm_entity | {"commerce": {"order": {"priceTotal": "a lot"}}, "timestamp": "yesterday"}
    body = {"header": {"datasetId": shop.events}, "body": {"xdmEntity": entity}}

    with shop.system.http("ingestion") as http:
        answer = http.post(f"/collection/{shop.connection}", json=body)

    causes = answer.json()["report"]["cause"]["_streamingValidation"]
    assert 400 == answer.status_code
    assert {"#/commerce/order/priceTotal", "#/timestamp"} == {cause["pointerToViolation"] for cause in causes}


def test_in_a_batch_the_good_messages_are_taken_and_each_gets_its_own_answer(shop: Shop) -> None:
    viewers = shop.define('xEvent[eventType = "commerce.productViews"].count() >= 2')
    person = shop.person()
    good = [msgspec.to_builtins(shop.event(person, "commerce.productViews")) for _ in range(2)]
    bad = json.loads(json.dumps(good[0]))
    del bad["body"]["xdmEntity"]["_id"]

    with shop.system.http("ingestion") as http:
        answer = http.post(f"/collection/batch/{shop.connection}", json={"messages": [good[0], bad, good[1]]})

    responses = answer.json()["responses"]
    assert 207 == answer.status_code
    assert [True, False, True] == ["xactionId" in response for response in responses]
    assert 400 == responses[1]["statusCode"]
    shop.wait_status(person, viewers, "realized")


def test_an_unknown_inlet_or_dataset_is_not_found(shop: Shop) -> None:
    message = msgspec.to_builtins(shop.purchase(shop.person(), 1.0))
    message["header"]["datasetId"] = "nowhere"

    with shop.system.http("ingestion") as http:
        inlet: httpx.Response = http.post("/collection/nowhere", json=message)
        dataset: httpx.Response = http.post(f"/collection/{shop.connection}", json=message)

    assert (404, 404) == (inlet.status_code, dataset.status_code)
    assert "there is no dataset 'nowhere'" in dataset.json()["detail"]


def test_a_message_sent_twice_counts_once(shop: Shop) -> None:
    twice = shop.define('xEvent[eventType = "commerce.purchases"].count() >= 2')
    once = shop.define('xEvent[eventType = "commerce.purchases"].count() = 1')
    person = shop.person()
    message = shop.purchase(person, 5.0)

    shop.send(message, message, message)
    shop.send(shop.event(person, "the-end"))

    wait_until(lambda: any(e["entity"]["eventType"] == "the-end" for e in events(shop, person)), "the last event")
    assert "realized" == shop.status(person, once)
    assert None is shop.status(person, twice)


def events(shop: Shop, person: str) -> list[dict[str, dict[str, str]]]:
    children: list[dict[str, dict[str, str]]] = shop.client.profiles.events("Email", person)["children"]
    return children
