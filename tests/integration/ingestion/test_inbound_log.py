"""The log behind the HTTP door on real Kafka: outcomes record by record."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local import topics as kafka_topics
from services.ingestion.adapters.inbound_log import KafkaInboundLog
from services.ingestion.ports import Durable
from shared.adapters.kafka import Producer
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import INBOUND
from shared.kernel.errors import Retryable
from tests.support.platform import EmbeddedPlatform

pytestmark = pytest.mark.platform

_REFUSED_BY_THE_BROKER = Random(0).randbytes(2 * 1024 * 1024)
_REFUSED_BY_THE_CLIENT = Random(0).randbytes(5 * 1024 * 1024)


@dataclass(frozen=True)
class _Small:
    """The topic with a lower bound on records than the producer's."""

    partitions: int = INBOUND.partitions
    config: dict[str, str] = field(default_factory=lambda: {"max.message.bytes": "1000000"})


@pytest.fixture
def prefix() -> str:
    return f"{uuid4().hex[:8]}-"


@pytest.fixture
async def producer(platform: EmbeddedPlatform, prefix: str) -> AsyncIterator[Producer]:
    """A producer for topics of its own."""
    await kafka_topics.create(platform.kafka_bootstrap_servers, {prefix + INBOUND.name: _Small()})
    producer = Producer(platform.kafka_bootstrap_servers, prefix)
    await producer.start()
    yield producer
    await producer.stop()


def _keys_of_different_partitions(count: int) -> list[str]:
    found: dict[int, str] = {}
    for number in range(1_000):
        found.setdefault(partition_of(f"k{number}", INBOUND.partitions), f"k{number}")
    return list(found.values())[:count]


async def test_records_are_confirmed_where_a_consumer_finds_them(
    platform: EmbeddedPlatform, producer: Producer, prefix: str
) -> None:
    records = [(f"k{number % 7}", b"%d" % number) for number in range(200)]

    outcomes = await KafkaInboundLog(producer).append(records, (("traceparent", b"00-ab-cd-01"),))

    found = await _read(platform, prefix + INBOUND.name, len(records))
    trace = (("traceparent", b"00-ab-cd-01"),)
    assert [(key.encode(), value, trace) for key, value in records] == [
        found[outcome.partition, outcome.offset] for outcome in outcomes if isinstance(outcome, Durable)
    ]


@pytest.mark.parametrize("refused", [_REFUSED_BY_THE_BROKER, _REFUSED_BY_THE_CLIENT], ids=["broker", "client"])
async def test_one_record_that_is_refused_fails_alone_and_the_next_call_works(
    producer: Producer, refused: bytes
) -> None:
    first, second, third = _keys_of_different_partitions(3)
    log = KafkaInboundLog(producer)

    mixed = await log.append([(first, b"1"), (second, refused), (third, b"3")], ())
    again = await log.append([(second, b"2")], ())

    assert [Durable, Retryable, Durable] == [type(outcome) for outcome in mixed]
    assert [Durable] == [type(outcome) for outcome in again]


_Found = tuple[bytes, bytes, tuple[tuple[str, bytes], ...]]


async def _read(platform: EmbeddedPlatform, name: str, count: int) -> dict[tuple[int, int], _Found]:
    """Reads so many records of a topic: key, value and headers by partition and offset."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=platform.kafka_bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    consumer.assign([TopicPartition(name, number) for number in range(INBOUND.partitions)])
    await consumer.start()
    found: dict[tuple[int, int], _Found] = {}
    try:
        while len(found) < count:
            record = await consumer.getone()
            found[record.partition, record.offset] = (record.key, record.value, record.headers)
    finally:
        await consumer.stop()
    return found
