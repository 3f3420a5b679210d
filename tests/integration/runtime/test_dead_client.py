"""A Kafka client that has died inside a living process is noticed, or does not die in the first place."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry

from shared.adapters.kafka import Message, Producer
from shared.adapters.kafka_connection import mend
from shared.adapters.redis import RedisClient
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime import feed as feeds
from shared.runtime.metrics import StageMetrics
from shared.runtime.stage import Effects, Stage
from tests.support.counting import WorkerSettings, counting_feed
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform


async def test_a_feed_whose_fetching_has_died_ends_the_process(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client then knows of no new record, so only the broker can tell that some wait."""
    monkeypatch.setattr(feeds, "_STALL_LIMIT_S", 2.0)
    monkeypatch.setattr(feeds, "_LOOK_EVERY_S", 1.0)
    producer, redis = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix), RedisClient(settings.redis_url)
    feed = counting_feed(settings, producer, redis)
    for service in (producer, redis, feed):
        await service.start()
    await eventually(feed_joined(feed), "the feed has joined")

    fetcher = feed._consumer._fetcher
    for task in (fetcher._fetch_task, *fetcher._pending_tasks):
        task.cancel()
    fact = Fact("e1", "event", "t", "p1", 1, 10, body={"amount": 0.1})
    for future in await producer.submit([Message(f"{settings.topic_prefix}events", 0, b"p1", encode(fact))]):
        await future
    async with asyncio.timeout(30):
        await feed.wait_until_stopped()

    assert isinstance(feed.crash_reason, Fatal)
    assert ExitCode.STALLED == feed.crash_reason.exit_code
    for service in (feed, redis, producer):
        await service.stop()


async def test_an_idle_stateless_worker_that_started_again_waits_for_nothing(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a chaos run scoring ended with 73 half a minute after it had come back: it took the whole log, which had been
    read before its time, for its lag."""
    monkeypatch.setattr(feeds, "_STALL_LIMIT_S", 1.0)
    monkeypatch.setattr(feeds, "_LOOK_EVERY_S", 0.5)
    producer = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix)
    await producer.start()
    facts = [Fact(f"e{number}", "event", "t", "p1", number, 10) for number in range(5)]
    messages = [Message(f"{settings.topic_prefix}events", 0, b"p1", encode(fact)) for fact in facts]
    for future in await producer.submit(messages):
        await future
    first, second = (stateless_feed(settings, producer) for _ in range(2))
    await first.start()
    await eventually(has_applied(first, len(facts) - 1), "everything is read")
    await first.stop()

    await second.start()
    await eventually(feed_joined(second), "the second has joined")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await second.wait_until_stopped()

    for service in (second, producer):
        await service.stop()


def stateless_feed(settings: WorkerSettings, producer: Producer) -> feeds.StageFeed[Any, Any]:
    stage: Stage[Fact, Any] = Stage("idle", source=EVENTS, step=lambda _: Effects(), outputs=())
    return feeds.StageFeed(stage, settings, producer, StageMetrics("idle", CollectorRegistry()))


def has_applied(feed: feeds.StageFeed[Any, Any], offset: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return 0 in feed._workers and feed._workers[0].applied_offset == offset

    return look


def feed_joined(feed: feeds.StageFeed[Any, Any]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        try:
            await feed.ping()
        except Fatal:
            return False
        return True

    return look


def test_a_write_to_a_transport_that_a_reset_has_closed_is_a_broken_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a chaos run a reset connection ended the fetchers of three processes, which then read nothing any more."""

    def write(*_: object) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    closed = []
    monkeypatch.setattr(AIOKafkaConnection, "send", write)
    monkeypatch.setattr(AIOKafkaConnection, "close", lambda _, reason=None: closed.append(reason))
    mend()
    connection = AIOKafkaConnection.__new__(AIOKafkaConnection)
    connection._host, connection._port, connection._writer = "127.0.0.1", 9092, None

    with pytest.raises(KafkaConnectionError, match="handler is closed"):
        connection.send(None)

    assert 1 == len(closed)
