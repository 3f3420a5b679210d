"""Deadlines on the wall clock, over the real broker's answers."""

import asyncio
import json
import sys
import time
from dataclasses import asdict, replace

import msgspec
import pytest

from shared.adapters.kafka import Producer
from shared.adapters.redis import RedisClient
from shared.contracts import redis_keys
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS
from shared.runtime.state import unframe
from tests.support.counting import Count, WorkerSettings
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

KEYS = ("p1", "p2", "p3", "p4")


async def test_a_deadline_fires_on_the_wall_clock_without_another_record(settings: WorkerSettings) -> None:
    """A quiet log says again and again that it has been read; a deadline waits for no more than that."""
    settings = replace(settings, clock="wall")
    command = [sys.executable, "-m", "tests.support.counting", json.dumps(asdict(settings))]
    producer, redis = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix), RedisClient(settings.redis_url)
    await producer.start()
    worker = await asyncio.create_subprocess_exec(*command)

    async def rung() -> int:
        names = [redis_keys.state(settings.redis_namespace, "counting", partition_of(key, 8), key) for key in KEYS]
        found = [raw for raw in await redis.client.mget(names) if isinstance(raw, bytes)]
        counts: list[Count] = [msgspec.msgpack.decode(unframe(raw)[1], type=Count) for raw in found]
        return sum([count.rung for count in counts])

    try:
        for number, key in enumerate(KEYS, 1):
            at = time.time_ns() // 1_000
            await producer.send(EVENTS, key, Fact(f"e{number}", "event", "t", key, at, at))

            async def has_rung(times: int = number) -> bool:
                return times == await rung()

            await eventually(has_rung, f"deadline {number} fired", 30)
        fired = await rung()
    finally:
        worker.kill()
        await worker.wait()
        await redis.client.aclose()
        await producer.stop()

    assert len(KEYS) == fired
