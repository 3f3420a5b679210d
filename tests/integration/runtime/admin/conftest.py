"""A topic prefix and a namespace of its own on the session's Kafka and Redis, and what the tests do there."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from shared.adapters.kafka import Message, Producer
from shared.adapters.kafka_log import open_log, read_log
from shared.adapters.redis import RedisClient
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, KEYED_PARTITIONS, PROFILE_UPDATES
from shared.runtime.admin.keyspace import Keyspace, Kind, ViewEntry
from shared.runtime.admin.rebuild import Rebuild
from shared.runtime.state import unframe
from tests.support.counting import Count, WorkerSettings, counting_stage
from tests.support.counting_run import new_namespace
from tests.support.platform import EmbeddedPlatform
from tests.support.waiting import eventually

PROFILES = 400


@dataclass
class World:
    """Kafka and Redis as one test sees them. Facts lie 1 µs of log time apart, so that no deadline comes."""

    settings: WorkerSettings
    producer: Producer
    redis: RedisClient
    produced: int = 0

    def space(self, namespace: str | None = None, stage: str = "counting") -> Keyspace:
        return Keyspace(self.redis.client, namespace or self.settings.redis_namespace, stage, KEYED_PARTITIONS)

    def elsewhere(self) -> Keyspace:
        return self.space(uuid4().hex[:8])

    def rebuild(self, space: Keyspace, live: str | None) -> Rebuild:
        s = self.settings
        return Rebuild(counting_stage(), s.kafka_bootstrap_servers, s.topic_prefix, self.redis, space, live)

    @contextmanager
    def worker(self, namespace: str | None = None) -> Iterator[subprocess.Popen[str]]:
        """A worker process, killed at the end of the block if it still runs."""
        settings = replace(self.settings, redis_namespace=namespace or self.settings.redis_namespace)
        command = [sys.executable, "-m", "tests.support.counting", json.dumps(asdict(settings))]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    async def produce(self, numbers: range) -> None:
        topic = self.settings.topic_prefix + EVENTS.name
        for start in range(numbers.start, numbers.stop, 500):
            facts = [fact(number) for number in range(start, min(start + 500, numbers.stop))]
            messages = [Message(topic, partition_of(f.profile_id, 8), f.profile_id.encode(), encode(f)) for f in facts]
            for future in await self.producer.submit(messages):
                await future
        self.produced = max(self.produced, numbers.stop)

    async def counts(self, space: Keyspace) -> dict[str, tuple[int, float]]:
        found: dict[str, tuple[int, float]] = {}
        async for _, entries in space.states():
            for entry in entries:
                count = msgspec.msgpack.decode(unframe(entry.framed or b"")[1], type=Count)
                found[entry.key.decode()] = (count.events, count.total)
        return found

    async def applied(self, space: Keyspace, total: int, limit_s: float = 40.0) -> None:
        async def look() -> bool:
            return sum(fence.offset + 1 for fence in await space.fences()) >= total

        await eventually(look, f"{total} records applied in {space.namespace}", limit_s)

    async def outputs(self) -> list[tuple[str, int]]:
        """What the stage has put out: (profile, how many events it had then)."""
        s = self.settings
        topic = s.topic_prefix + PROFILE_UPDATES.name
        async with open_log(s.kafka_bootstrap_servers) as log:
            extents = await log.extents(topic, range(KEYED_PARTITIONS))
        found: list[tuple[str, int]] = []
        async for records in read_log(s.kafka_bootstrap_servers, topic, extents):
            updates = [PROFILE_UPDATES.codec.decode(record.value) for record in records]
            found += [(update.profile_id, update.decided_at) for update in updates]
        return found


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


class Interrupted(Keyspace):
    """Something happens to Redis after fences and states have been copied, before the views are."""

    def __init__(self, space: Keyspace, happens: Callable[[], Awaitable[None]]) -> None:
        super().__init__(space.client, space.namespace, space.stage, space.partitions)
        self._happens = happens

    async def views(self, kind: Kind) -> AsyncGenerator[tuple[int, list[ViewEntry]], None]:
        if kind == "string":
            await self._happens()
        async for found in super().views(kind):
            yield found


def fact(number: int) -> Fact:
    key = f"p{number * 7919 % PROFILES}"
    return Fact(f"e{number}", "event", "t", key, number, number, body={"amount": 0.1})


def expected(total: int) -> dict[str, tuple[int, float]]:
    counts: dict[str, tuple[int, float]] = {}
    for number in range(total):
        key = fact(number).profile_id
        events, amount = counts.get(key, (0, 0.0))
        counts[key] = (events + 1, amount + 0.1)
    return counts


@asynccontextmanager
async def connected(platform: EmbeddedPlatform, redis_url: str = "") -> AsyncIterator[World]:
    """A world of its own; `redis_url`: on another Redis than the platform's."""
    settings = await new_namespace(platform, redis_url)
    producer, redis = Producer(settings.kafka_bootstrap_servers), RedisClient(settings.redis_url)
    await producer.start()
    await redis.start()
    try:
        yield World(settings, producer, redis)
    finally:
        await producer.stop()
        await redis.stop()


@pytest.fixture
async def world(platform: EmbeddedPlatform) -> AsyncIterator[World]:
    async with connected(platform) as found:
        yield found


async def exit_code(process: "subprocess.Popen[Any]") -> int:
    return await asyncio.wait_for(asyncio.to_thread(process.wait), 30)
