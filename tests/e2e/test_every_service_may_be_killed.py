"""kill -9 of each service once under load: what was accepted is counted, once."""

import os
import signal
from uuid import uuid4

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from tests.e2e.conftest import Shop
from tests.support.waiting import wait_until

pytestmark = pytest.mark.platform

PEOPLE = 40
EVENTS_EACH = 50


async def test_accepted_events_are_counted_once_whatever_is_killed_meanwhile(shop: Shop) -> None:
    """Each person gets fifty purchases of 0.1; their sum is exact only if none is lost and none counts twice."""
    exact = shop.define(
        f'xEvent[eventType = "commerce.purchases"].count() = {EVENTS_EACH} '
        'and xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal) > 4.999'
    )
    people = [f"{uuid4().hex[:8]}-{number}@example.org" for number in range(PEOPLE)]
    producer = AIOKafkaProducer(bootstrap_servers=shop.system.platform.kafka_bootstrap_servers, acks="all")
    await producer.start()
    victims = ["ingestion", "segmentation", "profile_store", "scoring", "model_registry", "training", "edge_inference"]

    for number in range(EVENTS_EACH):
        for person in people:
            await producer.send("inbound", msgspec.json.encode(shop.purchase(person, 0.1)), key=person.encode())
        await producer.flush()
        if number % 7 == 3 and victims:
            os.kill(shop.system.platform.pid(victims.pop(0)), signal.SIGKILL)
    await producer.stop()

    assert [] == victims
    wait_until(lambda: all_realized(shop, people, exact), "everybody has exactly fifty purchases", 90)
    wait_until(lambda: all_ready(shop), "all services are back", 60)


def all_realized(shop: Shop, people: list[str], segment: str) -> bool:
    return answers(
        shop, "profile_store", f"/ups/segments/{segment}/count", {"segmentId": segment, "count": len(people)}
    )


def all_ready(shop: Shop) -> bool:
    services = ("ingestion", "segmentation", "profile_store", "scoring", "model_registry", "training", "edge_inference")
    return all(answers(shop, service, "/readyz") for service in services)


def answers(shop: Shop, service: str, path: str, expected: object = None) -> bool:
    """Tells whether a service is up and, if asked, says what is expected."""
    try:
        with shop.system.http(service) as http:
            answer = http.get(path)
    except httpx.TransportError:  # it was just killed
        return False
    return answer.is_success and expected in (None, answer.json())
