"""Ingestion on real Kafka: messages in over both doors, facts and dead letters out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local import topics as kafka_topics
from services.ingestion.app import build
from services.ingestion.settings import Settings
from shared.adapters.kafka import Message, Producer
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.headers import Headers
from shared.contracts.inbound import RECEIVED_AT_HEADER, InboundBody, InboundHeader, InboundMessage
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, INBOUND, KEYED_PARTITIONS, physical_topics
from shared.kernel.ids import profile_id
from tests.support.platform import EmbeddedPlatform
from tests.support.running import running
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

ANN = profile_id("default", "Email", "ann@example.com")


@pytest.fixture
async def settings(platform: EmbeddedPlatform, tmp_path: Path) -> Settings:
    """Topics and a database of its own."""
    run = uuid4().hex[:8]
    names = {name: topic for name, topic in physical_topics(f"{run}-").items() if topic in (INBOUND, EVENTS)}
    await kafka_topics.create(platform.kafka_bootstrap_servers, names)
    return Settings(
        http_port=0,
        kafka_bootstrap_servers=platform.kafka_bootstrap_servers,
        topic_prefix=f"{run}-",
        database_url=f"sqlite+aiosqlite:///{tmp_path}/ingestion.db",
        kafka_session_timeout_ms=6_000,
    )


@dataclass
class Shop:
    client: httpx.AsyncClient
    dataset: str
    inlet: str

    def message(self, id_: str, **fields: Any) -> InboundMessage:
        entity = {
            "_id": id_,
            "timestamp": "2026-01-31T12:00:00Z",
            "identityMap": {"Email": [{"id": "ann@example.com"}]},
        }
        return InboundMessage(InboundHeader(self.dataset), InboundBody(entity | fields))


@asynccontextmanager
async def shop(settings: Settings) -> AsyncIterator[Shop]:
    """The running service with one dataset and one connection; registering again finds them."""
    async with running(build(settings)) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:

        async def register(path: str, body: dict[str, Any]) -> str:
            return str((await client.post(path, json=body)).raise_for_status().json()["id"])

        schema = {"properties": {"rank": {"type": "integer"}}}
        schema_id = await register("/schemas", {"title": "shop", "class": "event", "schema": schema})
        dataset = await register("/datasets", {"name": "shop", "schemaId": schema_id})
        yield Shop(client, dataset, f"/collection/{await register('/connections', {'name': 'web'})}")


async def produce(settings: Settings, values: Sequence[bytes], headers: Headers = (), partition: int = 0) -> None:
    producer = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix)
    await producer.start()
    try:
        topic = settings.topic_prefix + INBOUND.name
        messages = [Message(topic, partition, None, value, headers) for value in values]
        for acknowledged in await producer.submit(messages):
            await acknowledged
    finally:
        await producer.stop()


async def read(settings: Settings, topic: str, count: int) -> list[Any]:
    """Reads a topic from its start until it has given `count` records."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Any] = []

    async def look() -> bool:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            found.extend(records)
        return len(found) >= count

    try:
        consumer.assign([TopicPartition(settings.topic_prefix + topic, p) for p in range(KEYED_PARTITIONS)])
        await eventually(look, f"{count} records in {topic}")
    finally:
        await consumer.stop()
    return found


def facts_of(records: Sequence[Any]) -> list[Fact]:
    return [EVENTS.codec.decode(record.value) for record in records]


async def test_a_message_over_http_becomes_a_fact_in_its_profiles_partition(settings: Settings) -> None:
    async with shop(settings) as running_shop:
        answer = await running_shop.client.post(
            running_shop.inlet,
            json=msgspec.to_builtins(running_shop.message("e1")),
            headers={"traceparent": "00-a-b-01"},
        )
        (record,) = await read(settings, EVENTS.name, 1)

    (fact,) = facts_of([record])
    assert answer.status_code == 200
    assert record.key.decode() == fact.profile_id == ANN
    assert record.partition == partition_of(ANN, KEYED_PARTITIONS)
    assert record.headers == (("traceparent", b"00-a-b-01"),)
    received_ms = int(answer.json()["xactionId"].split(":")[0])
    assert fact.received_at == received_ms * 1000 + 999


async def test_a_batch_keeps_the_order_of_one_persons_messages(settings: Settings) -> None:
    async with shop(settings) as running_shop:
        messages = [msgspec.to_builtins(running_shop.message(f"e{n}")) for n in range(500)]

        answer = await running_shop.client.post(
            running_shop.inlet.replace("collection", "collection/batch"), json={"messages": messages}
        )
        records = await read(settings, EVENTS.name, 500)

    assert all("xactionId" in part for part in answer.json()["responses"])
    assert [fact.id for fact in facts_of(records)] == [f"e{n}" for n in range(500)]


async def test_bad_records_become_dead_letters_and_good_ones_pass(settings: Settings) -> None:
    async with shop(settings) as running_shop:
        good = encode(running_shop.message("good"))
        bad = {
            "bad_json": b"{",
            "envelope": b"{}",
            "schema": encode(running_shop.message("b1", rank="first")),
            "time": encode(running_shop.message("b2", timestamp="never")),
            "identity": encode(running_shop.message("b3", identityMap={})),
            "unknown_dataset": good.replace(running_shop.dataset.encode(), b"nowhere"),
        }

        await produce(settings, [good, *bad.values(), good.replace(b"good", b"last")])
        facts = facts_of(await read(settings, EVENTS.name, 2))
        letters = await read(settings, INBOUND.dlq_name, len(bad))

    assert [fact.id for fact in facts] == ["good", "last"]
    told = {dict(letter.headers)["freshet-dlq-reason"].decode(): letter.value for letter in letters}
    assert told == bad


async def test_a_backlog_met_at_the_start_is_not_dead_lettered(settings: Settings) -> None:
    async with shop(settings) as running_shop:
        waiting = [encode(running_shop.message(f"p{n}")) for n in range(KEYED_PARTITIONS)]
    for partition, value in enumerate(waiting):
        await produce(settings, [value], partition=partition)

    async with shop(settings):
        facts = facts_of(await read(settings, EVENTS.name, KEYED_PARTITIONS))

    assert {fact.id for fact in facts} == {f"p{n}" for n in range(KEYED_PARTITIONS)}


async def test_on_the_stream_clock_history_keeps_its_time_and_ticks_pass(settings: Settings) -> None:
    replay = settings.model_copy(update={"clock": "stream"})
    tick = encode(InboundMessage(InboundHeader("freshet-ticks"), InboundBody({})))

    async with shop(replay) as running_shop:
        await produce(replay, [encode(running_shop.message("old"))], ((RECEIVED_AT_HEADER, b"1000000"),))
        await produce(replay, [tick], ((RECEIVED_AT_HEADER, b"2000000"),), partition=6)
        records = await read(replay, EVENTS.name, 2)

    found = {
        fact.type: (fact.received_at, record.partition) for fact, record in zip(facts_of(records), records, strict=True)
    }
    assert found == {"event": (1_000_000, partition_of(ANN, KEYED_PARTITIONS)), "tick": (2_000_000, 6)}
