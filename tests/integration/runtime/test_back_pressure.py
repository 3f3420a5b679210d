"""One slow partition stops itself, not the others; a static member has its partitions back at once."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from shared.adapters.kafka import Message, Producer
from shared.adapters.redis import RedisClient
from shared.contracts import redis_keys
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS
from shared.runtime.context import Limits
from shared.runtime.feed import StageFeed
from shared.runtime.metrics import StageMetrics
from shared.runtime.stage import Record
from shared.runtime.state import unframe
from tests.integration.runtime.test_feed import worker
from tests.support.counting import Count, WorkerSettings, counting_stage
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

SLOW = 3


@asynccontextmanager
async def clients(settings: WorkerSettings) -> AsyncIterator[tuple[Producer, RedisClient]]:
    producer, redis = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix), RedisClient(settings.redis_url)
    await producer.start()
    await redis.start()
    try:
        yield producer, redis
    finally:
        await producer.stop()
        await redis.stop()


async def fill(producer: Producer, settings: WorkerSettings, partition: int, first: int, count: int) -> None:
    """Puts `count` events of one profile into a partition."""
    topic, key = settings.topic_prefix + EVENTS.name, f"p{partition}"
    facts = [Fact(f"{key}-{n}", "event", "t", key, n, n, body={"amount": 1.0}) for n in range(first, first + count)]
    messages = [Message(topic, partition, key.encode(), encode(fact)) for fact in facts]
    for future in await producer.submit(messages):
        await future


async def applied(redis: RedisClient, settings: WorkerSettings, partition: int) -> int:
    found = await redis.client.hget(redis_keys.fence(settings.redis_namespace, "counting", partition), "offset")
    return -1 if found is None else int(found)


async def test_a_partition_that_cannot_keep_up_holds_up_no_other(settings: WorkerSettings) -> None:
    """Partition 3 waits for ever; the others apply everything meanwhile, and it holds no more than its bound."""
    released = asyncio.Event()

    async def prepare(records: Sequence[Record[Fact]]) -> None:
        if records[0].partition == SLOW:
            await released.wait()

    stage = replace(counting_stage(), prepare=prepare)
    registry = CollectorRegistry()
    metrics = StageMetrics("counting", registry)
    limits = Limits(rows_queued_max=1_000, batch_rows_max=500)
    async with clients(settings) as (producer, redis):
        feed: StageFeed[Any, Any] = StageFeed(stage, settings, producer, metrics, redis, limits)
        await feed.start()
        try:
            for partition in range(8):
                await fill(producer, settings, partition, 0, 6_000)
            for partition in (p for p in range(8) if p != SLOW):
                done = partial(_reached, redis, settings, partition, 5_999)
                await eventually(done, f"partition {partition} applied", 60)
            held = feed._workers[SLOW].inbox.rows
            slow_meanwhile = await applied(redis, settings, SLOW)
            released.set()
            await eventually(lambda: _reached(redis, settings, SLOW, 5_999), "the slow one, released", 60)
        finally:
            await feed.stop()

    assert -1 == slow_meanwhile
    assert 1_000 <= held <= 1_000 + 2_000
    assert (registry.get_sample_value("freshet_counting_limit_reached_total", {"limit": "inbox"}) or 0) >= 1


async def _reached(redis: RedisClient, settings: WorkerSettings, partition: int, offset: int) -> bool:
    return await applied(redis, settings, partition) == offset


async def test_a_killed_static_member_goes_on_long_before_its_session_ends(settings: WorkerSettings) -> None:
    """The session lasts 60 s; a worker started anew under the same instance id waits for none of it."""
    settings = replace(settings, kafka_session_timeout_ms=60_000, kafka_group_instance_id="worker-1")
    async with clients(settings) as (producer, redis):
        with worker(settings) as first:
            await fill(producer, settings, 0, 0, 100)
            await eventually(lambda: _reached(redis, settings, 0, 99), "the first hundred", 30)
            first.send_signal(signal.SIGKILL)
            first.wait()
        await fill(producer, settings, 0, 100, 100)
        with worker(settings):
            await eventually(lambda: _reached(redis, settings, 0, 199), "the next hundred, by the successor", 30)


async def test_two_processes_under_one_instance_id_count_nothing_twice(settings: WorkerSettings) -> None:
    """A mistake in settings: the broker shuts one of them out, and the fence keeps the counts exact."""
    settings = replace(settings, kafka_group_instance_id="worker-1")
    async with clients(settings) as (producer, redis):
        with worker(settings), worker(settings):
            for first in range(0, 2_000, 200):
                await fill(producer, settings, 0, first, 200)
            await eventually(lambda: _someone(settings, redis), "everything applied", 60)
        raw = await redis.client.get(redis_keys.state(settings.redis_namespace, "counting", 0, "p0"))

    assert isinstance(raw, bytes)
    found = msgspec.msgpack.decode(unframe(raw)[1], type=Count)
    assert (2_000, 2_000.0) == (found.events, found.total)


async def _someone(settings: WorkerSettings, redis: RedisClient) -> bool:
    return await _reached(redis, settings, 0, 1_999)
