"""The stage runtime on real Kafka and Redis: nothing lost, nothing counted twice, whatever is killed."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from deploy.local import topics as kafka_topics
from shared.adapters.kafka import Message, Producer
from shared.adapters.redis import RedisClient
from shared.contracts import redis_keys
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, PROFILE_UPDATES
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.state import unframe
from tests.support.counting import TIME_LIMIT_US, Count, WorkerSettings, counting_feed
from tests.support.platform import EmbeddedPlatform
from tests.support.topic_reading import read_topic
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

PROFILES = 300


@contextmanager
def worker(settings: WorkerSettings) -> Iterator[subprocess.Popen[str]]:
    """A worker process, killed at the end of the block if it still runs."""
    command = [sys.executable, "-m", "tests.support.counting", json.dumps(asdict(settings))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def running(settings: WorkerSettings) -> AsyncIterator[tuple[Producer, Any]]:
    producer = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix)
    client = RedisClient(settings.redis_url).client
    await producer.start()
    try:
        yield producer, client
    finally:
        await producer.stop()
        await client.aclose()


def event(number: int, profiles: int = PROFILES, **body: object) -> tuple[str, Fact]:
    key = f"p{number * 7919 % profiles}"
    return key, Fact(f"e{number}", "event", "t", key, number, number * 10, body={"amount": 0.1, **body})


async def produce(producer: Producer, settings: WorkerSettings, facts: list[tuple[str, Fact]]) -> None:
    topic = settings.topic_prefix + EVENTS.name
    messages = [Message(topic, partition_of(key, 8), key.encode(), encode(fact)) for key, fact in facts]
    for future in await producer.submit(messages):
        await future


async def counts(client: Any, settings: WorkerSettings) -> dict[str, Count]:
    keys = [f"p{number}" for number in range(PROFILES)]
    names = [redis_keys.state(settings.redis_namespace, "counting", partition_of(key, 8), key) for key in keys]
    found = zip(keys, await client.mget(names), strict=True)
    return {key: msgspec.msgpack.decode(unframe(raw)[1], type=Count) for key, raw in found if raw is not None}


def expected_counts(facts: list[tuple[str, Fact]]) -> dict[str, tuple[int, float, int]]:
    expected: dict[str, tuple[int, float, int]] = {}
    for key, fact in facts:
        events, total, _ = expected.get(key, (0, 0.0, 0))
        expected[key] = (events + 1, total + fact.body["amount"], fact.received_at)
    return expected


async def all_applied(client: Any, settings: WorkerSettings, total: int) -> bool:
    return total == sum(found.events for found in (await counts(client, settings)).values())


async def test_workers_killed_again_and_again_lose_and_double_nothing(settings: WorkerSettings) -> None:
    """SIGKILL at ten arbitrary moments while 30,000 events are read; sums compare bit by bit."""
    facts = [event(number) for number in range(30_000)]
    async with running(settings) as (producer, client):
        writing = asyncio.create_task(produce(producer, settings, facts))
        for kill in range(1, 11):
            with worker(settings):
                threshold = kill * 2_000
                await eventually(partial(_more_than, client, settings, threshold), f"{threshold} events applied", 60)
        with worker(settings):
            await writing
            await eventually(lambda: all_applied(client, settings, len(facts)), "all events applied", 60)
        found = await counts(client, settings)

    assert expected_counts(facts) == {key: (c.events, c.total, c.last) for key, c in found.items()}


async def _more_than(client: Any, settings: WorkerSettings, least: int) -> bool:
    return sum(found.events for found in (await counts(client, settings)).values()) > least


async def test_each_event_has_its_output_and_repeats_do_not_differ(settings: WorkerSettings) -> None:
    facts = [event(number) for number in range(5_000)]
    async with running(settings) as (producer, client):
        await produce(producer, settings, facts)
        with worker(settings):
            await eventually(lambda: _more_than(client, settings, 1_000), "a part applied")
        with worker(settings):
            await eventually(lambda: all_applied(client, settings, len(facts)), "all events applied")
        outputs = await read_all(settings, PROFILE_UPDATES.name)

    written = {(update.profile_id, update.decided_at) for update in map(PROFILE_UPDATES.codec.decode, outputs)}
    assert {(k, n) for k, (events, _, _) in expected_counts(facts).items() for n in range(1, events + 1)} == written


async def read_all(settings: WorkerSettings, topic: str) -> list[bytes]:
    records = await read_topic(settings.kafka_bootstrap_servers, settings.topic_prefix + topic)
    return [record.value for record in records]


async def test_a_worker_that_slept_through_its_session_cannot_write_any_more(settings: WorkerSettings) -> None:
    """SIGSTOP beyond the session time-out, a successor, SIGCONT: the old one ends itself, the counts are exact."""
    facts = [event(number) for number in range(20_000)]
    async with running(settings) as (producer, client):
        with worker(settings) as old:
            await produce(producer, settings, facts[:10_000])
            await eventually(lambda: _more_than(client, settings, 100), "the first worker at work")
            old.send_signal(signal.SIGSTOP)
            with worker(settings):
                await produce(producer, settings, facts[10_000:])
                await eventually(lambda: all_applied(client, settings, len(facts)), "all applied by the successor", 60)
                old.send_signal(signal.SIGCONT)
                await eventually(lambda: _settled(client, settings, len(facts)), "still exact after the old one woke")
        found = await counts(client, settings)

    assert expected_counts(facts) == {key: (c.events, c.total, c.last) for key, c in found.items()}


async def _settled(client: Any, settings: WorkerSettings, total: int) -> bool:
    return await all_applied(client, settings, total)


async def test_a_redis_that_came_back_older_is_noticed_and_the_worker_starts_again(settings: WorkerSettings) -> None:
    """The fence is moved back under a running worker, as after a fail-over: it refuses to go on."""
    async with running(settings) as (producer, client):
        with worker(settings) as process:
            await produce(producer, settings, [event(number) for number in range(1_000)])
            await eventually(lambda: all_applied(client, settings, 1_000), "the first thousand applied")
            for partition in range(8):
                await client.hset(redis_keys.fence(settings.redis_namespace, "counting", partition), "offset", "0")
            await produce(producer, settings, [event(number) for number in range(1_000, 2_000)])
            await eventually(lambda: asyncio.to_thread(lambda: process.poll() is not None), "the worker ended")
            code = process.returncode

    assert code == ExitCode.GAP


async def test_a_poisoned_record_goes_to_the_dead_letters_with_its_raw_bytes_and_the_others_count(
    settings: WorkerSettings, platform: EmbeddedPlatform
) -> None:
    facts = [event(number) for number in range(100)]
    key, poison = event(1_000, poison=True)
    async with running(settings) as (producer, client):
        dlq = {f"{settings.topic_prefix}{EVENTS.dlq_name}": EVENTS}
        await kafka_topics.create(platform.kafka_bootstrap_servers, dlq)
        await produce(producer, settings, [*facts[:50], (key, poison), *facts[50:]])
        topic = settings.topic_prefix + EVENTS.name
        for future in await producer.submit([Message(topic, 0, b"p0", b"{not json")]):
            await future
        with worker(settings):
            await eventually(lambda: all_applied(client, settings, len(facts)), "the good ones applied")
            letters = await eventually(lambda: _letters(settings, 2), "two dead letters")

    assert {b"{not json", encode(poison)} == set(letters)


async def _letters(settings: WorkerSettings, count: int) -> list[bytes]:
    values = await read_all(settings, EVENTS.dlq_name)
    return values if len(values) >= count else []


async def test_deadlines_fire_once_each_and_survive_a_kill(settings: WorkerSettings) -> None:
    facts = [event(number) for number in range(PROFILES)]
    last = facts[-1][1].received_at
    async with running(settings) as (producer, client):
        with worker(settings):
            await produce(producer, settings, facts)
            await eventually(lambda: all_applied(client, settings, len(facts)), "all applied")
        ticks = [Fact(f"tick{p}", "tick", "t", "", 0, last + TIME_LIMIT_US) for p in range(8)]
        topic = settings.topic_prefix + EVENTS.name
        for future in await producer.submit([Message(topic, p, None, encode(tick)) for p, tick in enumerate(ticks)]):
            await future
        with worker(settings):
            await eventually(lambda: _rung(client, settings, PROFILES), "every deadline fired")
        with worker(settings):
            await produce(producer, settings, [event(PROFILES)])
            await eventually(lambda: all_applied(client, settings, PROFILES + 1), "one more applied")
        found = await counts(client, settings)

    assert {1} == {count.rung for count in found.values()}


async def _rung(client: Any, settings: WorkerSettings, total: int) -> bool:
    return total == sum(found.rung for found in (await counts(client, settings)).values())


async def test_a_fence_older_than_the_log_refuses_to_run_and_says_what_to_do(settings: WorkerSettings) -> None:
    """Records that the fence still needs have been deleted from the log."""
    async with running(settings) as (producer, _):
        await produce(producer, settings, [event(number) for number in range(500)])
        await delete_records(settings, 5)
        redis = RedisClient(settings.redis_url)
        feed = counting_feed(replace(settings, redis_namespace=uuid4().hex), producer, redis)
        await feed.start()
        try:
            await eventually(lambda: asyncio.sleep(0, feed.crashed), "the feed refused")
            reason = feed.crash_reason
        finally:
            await feed.stop()
            await redis.stop()

    assert isinstance(reason, Fatal)
    assert reason.exit_code == ExitCode.LOG_TRUNCATED
    assert "the log now starts at 5" in str(reason)


async def delete_records(settings: WorkerSettings, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        topic = settings.topic_prefix + EVENTS.name
        await admin.delete_records({TopicPartition(topic, p): RecordsToDelete(before) for p in range(8)})
    finally:
        await admin.close()
