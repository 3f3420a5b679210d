"""A stage without state has no fence that would notice a gap: whatever its feed has fetched must reach its step."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from shared.adapters.kafka import Message, Producer, TopicPartition
from shared.adapters.kafka_group import log_start_offsets
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS
from shared.runtime import feed as feed_module
from shared.runtime.feed import StageFeed
from shared.runtime.metrics import StageMetrics
from shared.runtime.stage import Batch, Effects, Stage
from tests.support.counting import WorkerSettings
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

PARTITIONS, ROWS = 8, 400
SLOW_ASSIGNMENT_S = 0.5


class Seen:
    """A step that notes which records it was given."""

    def __init__(self) -> None:
        self.offsets: Counter[tuple[int, int]] = Counter()

    def step(self, batch: Batch[Fact, Any]) -> Effects[Any]:
        self.offsets.update((record.partition, record.offset) for record in batch.records)
        return Effects()

    async def all(self) -> bool:
        return len(self.offsets) == PARTITIONS * ROWS


@asynccontextmanager
async def reading(settings: WorkerSettings, seen: Seen, gate: Callable[[], bool]) -> AsyncIterator[StageFeed[Any, Any]]:
    """A feed whose log holds a backlog before it joins."""
    producer = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix)
    stage: Stage[Fact, Any] = Stage("seeing", source=EVENTS, step=seen.step, outputs=(), gate=gate)
    feed: StageFeed[Any, Any] = StageFeed(stage, settings, producer, StageMetrics("seeing", CollectorRegistry()))
    await producer.start()
    try:
        await backlog(producer, settings)
        await feed.start()
        try:
            yield feed
        finally:
            await feed.stop()
    finally:
        await producer.stop()


async def backlog(producer: Producer, settings: WorkerSettings) -> None:
    topic = settings.topic_prefix + EVENTS.name
    messages = [
        Message(topic, partition, f"p{partition}".encode(), encode(Fact(f"{partition}-{n}", "event", "t", "p", n, n)))
        for partition in range(PARTITIONS)
        for n in range(ROWS)
    ]
    for future in await producer.submit(messages):
        await future


async def test_records_that_were_fetched_while_the_gate_was_closed_are_stepped_once_it_opens(
    settings: WorkerSettings,
) -> None:
    seen, is_open = Seen(), asyncio.Event()
    async with reading(settings, seen, is_open.is_set) as feed:

        async def fetched() -> bool:
            return any(feed._consumer.highwater(tp) for tp in feed._consumer.assignment())

        await eventually(fetched, "some of the log fetched", 30)
        assert not seen.offsets
        is_open.set()
        await eventually(seen.all, "every record stepped", 30)

    assert set(seen.offsets.values()) == {1}


async def test_records_that_come_before_the_partitions_are_taken_over_are_stepped(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group gives partitions away, and the client fetches, before the stage has been told of them."""

    async def slowly(consumer: Any, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        starts = await log_start_offsets(consumer, partitions)
        await asyncio.sleep(SLOW_ASSIGNMENT_S)
        return starts

    monkeypatch.setattr(feed_module, "log_start_offsets", slowly)
    seen = Seen()
    async with reading(settings, seen, lambda: True):
        await eventually(seen.all, "every record stepped", 30)

    assert set(seen.offsets.values()) == {1}
