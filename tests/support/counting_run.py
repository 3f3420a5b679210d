"""A namespace of topics and Redis keys in which a test runs counting feeds, and what they have left there."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from prometheus_client import CollectorRegistry

from deploy.local import topics as kafka_topics
from shared.adapters.kafka import Message, Producer
from shared.adapters.redis import RedisClient, RedisError
from shared.contracts import redis_keys
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, PROFILE_UPDATES, physical_topics
from shared.runtime.feed import StageFeed
from shared.runtime.metrics import StageMetrics
from shared.runtime.state import unframe
from tests.support.counting import Count, WorkerSettings, count, counting_stage
from tests.support.platform import EmbeddedPlatform
from tests.support.topic_reading import read_topic
from tests.support.waiting import eventually

PARTITIONS = EVENTS.partitions
Totals = dict[str, tuple[int, float, int]]


def numbered(total: int, profiles: int = 50, **bodies: dict[str, object]) -> list[Fact]:
    """Facts `e0`, `e1`, ... of `profiles` people; `bodies` puts fields into the body of the fact of that id."""
    return [
        Fact(
            f"e{n}", "event", "t", f"p{n * 7919 % profiles}", n, n * 10, body={"amount": 0.1, **bodies.get(f"e{n}", {})}
        )
        for n in range(total)
    ]


def folded(facts: Sequence[Fact]) -> Totals:
    """What counting must come to: events, sum and last log time by profile."""
    totals: Totals = {}
    for fact in facts:
        events, total, _ = totals.get(fact.profile_id, (0, 0.0, 0))
        totals[fact.profile_id] = (events + 1, total + fact.body["amount"], fact.received_at)
    return totals


async def new_namespace(platform: EmbeddedPlatform, redis_url: str = "") -> WorkerSettings:
    """Makes the topics of a counting stage, with their dead-letter topics, under a prefix of their own.

    `redis_url`: another Redis than the platform's.
    """
    run = uuid4().hex[:8]
    names = {name: t for name, t in physical_topics(f"{run}-").items() if t in (EVENTS, PROFILE_UPDATES)}
    await kafka_topics.create(platform.kafka_bootstrap_servers, names)
    return WorkerSettings(platform.kafka_bootstrap_servers, redis_url or platform.redis_url, f"{run}-", run)


@dataclass(frozen=True)
class CountingRun:
    """`producer` and `client` are the test's own; feeds get theirs from `feed`."""

    settings: WorkerSettings
    producer: Producer
    client: Any

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, platform: EmbeddedPlatform, redis_url: str = "") -> AsyncIterator["CountingRun"]:
        """A new namespace (see there), and connections to it for the block."""
        settings = await new_namespace(platform, redis_url)
        producer = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix)
        client = RedisClient(settings.redis_url).client
        await producer.start()
        try:
            yield cls(settings, producer, client)
        finally:
            await producer.stop()
            await client.aclose()

    @contextlib.asynccontextmanager
    async def feed(self, step: Any = count, producer: Producer | None = None) -> AsyncIterator[StageFeed[Any, Any]]:
        """A counting feed with a connection of its own; stopped at the end of the block, crashed or not."""
        redis = RedisClient(self.settings.redis_url)
        own = producer or Producer(self.settings.kafka_bootstrap_servers, self.settings.topic_prefix)
        stage = replace(counting_stage(), step=step)
        feed: StageFeed[Any, Any] = StageFeed(
            stage, self.settings, own, StageMetrics("counting", CollectorRegistry()), redis
        )
        started = (own, redis, feed)
        try:
            for service in started:
                await service.start()
            yield feed
        finally:
            for service in reversed(started):
                await service.stop()

    async def produce(self, facts: Sequence[Fact]) -> None:
        """Writes facts to `events` and waits until they are durable."""
        topic = self.settings.topic_prefix + EVENTS.name
        messages = [
            Message(topic, partition_of(f.profile_id, PARTITIONS), f.profile_id.encode(), encode(f)) for f in facts
        ]
        for future in await self.producer.submit(messages):
            await future

    async def totals(self, profiles: int = 50) -> Totals:
        """What Redis holds for the people of `numbered`."""
        keys = [f"p{number}" for number in range(profiles)]
        place = (self.settings.redis_namespace, "counting")
        names = [redis_keys.state(*place, partition_of(key, PARTITIONS), key) for key in keys]
        values = [await self._value(name) for name in names]  # one by one: in a cluster they lie in several slots
        found = {key: raw for key, raw in zip(keys, values, strict=True) if raw is not None}
        counts = {key: msgspec.msgpack.decode(unframe(raw)[1], type=Count) for key, raw in found.items()}
        return {key: (c.events, c.total, c.last) for key, c in counts.items()}

    async def _value(self, name: str) -> bytes | None:
        """One value; nodes of a cluster may point at each other until all have heard where a slot has gone."""
        found: list[bytes | None] = []

        async def look() -> bool:
            with contextlib.suppress(RedisError):
                found.append(await self.client.get(name))
            return bool(found)

        await eventually(look, f"an answer for {name}")
        return found[0]

    async def counted(self, total: int) -> None:
        """Waits until `total` events are in the states."""

        async def all_counted() -> bool:
            with contextlib.suppress(RedisError):  # a test may have taken Redis away
                return sum(events for events, _, _ in (await self.totals()).values()) >= total
            return False

        await eventually(all_counted, f"{total} events counted", 60)

    async def fence(self, partition: int) -> int:
        """The offset up to which a partition is applied, -1 before the first."""
        key = redis_keys.fence(self.settings.redis_namespace, "counting", partition)
        return int(await self.client.hget(key, "offset") or -1)

    async def committed(self, partition: int) -> int:
        """The next offset that the group has committed to Kafka, 0 when there is none."""
        async with self._admin() as admin:
            found = await admin.list_consumer_group_offsets(f"{self.settings.topic_prefix}counting")
        held = found.get(TopicPartition(self.settings.topic_prefix + EVENTS.name, partition))
        return max(0, int(held.offset)) if held is not None else 0

    async def configure(self, topic: str, **config: str) -> None:
        """Changes a topic's configuration on the broker."""
        async with self._admin() as admin:
            name = self.settings.topic_prefix + topic
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, config)])

    async def read(self, topic: str) -> list[Any]:
        """Every record of a topic, from its start to its present end, in the order of each partition."""
        return await read_topic(self.settings.kafka_bootstrap_servers, self.settings.topic_prefix + topic)

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka_bootstrap_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


async def crashed(feed: StageFeed[Any, Any]) -> BaseException | None:
    """Waits until a feed has given up; returns why."""

    async def has_crashed() -> bool:
        return bool(feed.crashed)

    await eventually(has_crashed, "the feed gave up", 60)
    reason: BaseException | None = feed.crash_reason
    return reason
