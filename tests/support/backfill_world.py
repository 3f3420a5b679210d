"""A segmentation process that can be killed, on real Kafka and Redis, with people whose events are counted."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from deploy.local import topics as kafka_topics
from services.segmentation.settings import Settings
from shared.adapters.kafka import Message, Producer
from shared.adapters.kafka_log import open_log
from shared.adapters.redis import RedisClient
from shared.contracts import redis_keys
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.memberships import ProfileMemberships
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, KEYED_PARTITIONS, SEGMENT_MEMBERSHIPS, physical_topics
from shared.kernel.clock import DAY, HOUR, WallClock
from shared.sdk import ApiError, Freshet
from tests.support.ml_line import union_schema
from tests.support.platform import EmbeddedPlatform, free_ports
from tests.support.running import running
from tests.support.waiting import eventually

T = TypeVar("T")

PEOPLE = 500


@dataclass
class World:
    """A segmentation process on topics of its own. `counts`: events per person; `spent`: by purchases."""

    settings: Settings
    client: Freshet
    url: str
    environment: dict[str, str]
    producer: Producer
    redis: RedisClient
    counts: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    number: int = 0

    async def ask(self, question: Callable[..., T], *values: Any) -> T:
        return await asyncio.to_thread(question, *values)

    def start(self, **more: str) -> None:
        command = [sys.executable, "-m", "services.segmentation"]
        self.process = subprocess.Popen(command, env=self.environment | more)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def is_up(self) -> bool:
        try:
            return (await self.ask(httpx.get, f"{self.url}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def come(self, count: int) -> None:
        """Events of people in turn: what they did up to five days ago, some of it purchases."""
        now, facts = WallClock().now(), []
        for _ in range(count):
            self.number += 1
            # Some come often, most seldom.
            person = f"person{self.number * 7919 % PEOPLE * (self.number * 104729 % PEOPLE) // PEOPLE}"
            kind = "commerce.purchases" if self.number % 3 == 0 else "web.views"
            body = {"eventType": kind, "commerce": {"order": {"priceTotal": self.number % 100}}}
            self.counts[person] = self.counts.get(person, 0) + 1
            if self.number % 3 == 0:
                self.spent[person] = self.spent.get(person, 0) + self.number % 100
            age = self.number % 5 * DAY + HOUR
            facts.append(Fact(f"e{self.number}", "event", "default", person, now - age, now, "web", body=body))
        await self.produce(facts)

    async def produce(self, facts: Sequence[Fact]) -> None:
        topic = self.settings.topic_prefix + EVENTS.name
        messages = [
            Message(topic, partition_of(f.profile_id, KEYED_PARTITIONS), f.profile_id.encode(), encode(f))
            for f in facts
        ]
        for acknowledged in await self.producer.submit(messages):
            await acknowledged

    async def define(self, id_: str, expression: str) -> None:
        await self.ask(self.client.segmentation.define, id_, expression, id_)

    async def readiness(self, id_: str) -> dict[str, Any]:
        answer = await self.ask(httpx.get, f"{self.url}/ups/segment/definitions/{id_}")
        found: dict[str, Any] = answer.json()["readiness"]
        return found

    async def wait_ready(self, id_: str, limit_s: float = 60.0) -> None:
        async def ready() -> bool:
            try:
                return (await self.ask(self.client.segmentation.segment, id_)).ready
            except ApiError:
                return False

        await eventually(ready, f"{id_} is ready", limit_s)

    async def wait_status(self, holds: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Waits until the readiness of segment `twelve` holds."""

        async def look() -> bool:
            return holds(await self.readiness("twelve"))

        await eventually(look, what)

    async def wait_share(self, share: float) -> None:
        """Waits until so much of the backfill of `twelve` is done."""
        await self.wait_status(lambda found: _share(found) >= share, f"{share} is done")

    async def published(self) -> list[ProfileMemberships]:
        """Every membership record so far, repeats left out by their transitions' ids."""
        topic, seen, found = self.settings.topic_prefix + SEGMENT_MEMBERSHIPS.name, set(), []
        async with open_log(self.settings.kafka_bootstrap_servers) as log:
            for extent in await log.extents(topic, range(KEYED_PARTITIONS)):
                async for records in log.read(topic, extent):
                    for record in records:
                        value = SEGMENT_MEMBERSHIPS.codec.decode(record.value)
                        ids = tuple(transition.id for transition in value.transitions)
                        if ids not in seen:
                            seen.add(ids)
                            found.append(value)
        return found

    async def members(self, segment: str) -> list[str]:
        """Who is in a segment, by the newest map of each person; transitions must alternate and repeats agree."""
        newest: dict[str, ProfileMemberships] = {}
        inside: dict[str, bool] = {}
        for value in await self.published():
            newest[value.profile_id] = value
            for transition in value.transitions:
                if transition.segment_id == segment:
                    assert inside.get(value.profile_id, False) == (transition.change == "exited")
                    inside[value.profile_id] = transition.change == "entered"
        members = sorted(id_ for id_, value in newest.items() if segment in value.memberships)
        assert members == sorted(id_ for id_, is_in in inside.items() if is_in)
        return members

    def expected(self) -> list[str]:
        """Who is in `twelve`."""
        return sorted(person for person, count in self.counts.items() if count >= 12)

    async def started(self, **more: str) -> None:
        """Starts the process, with more variables, and waits until it is ready."""
        self.start(**more)
        await eventually(self.is_up, "segmentation is up", 60)

    async def decided(self) -> None:
        """Waits until everything sent so far has been decided on."""

        async def all_applied() -> bool:
            topic = self.settings.topic_prefix + EVENTS.name
            async with open_log(self.settings.kafka_bootstrap_servers) as log:
                extents = await log.extents(topic, range(KEYED_PARTITIONS))
            for extent in extents:
                key = redis_keys.fence(self.settings.redis_namespace, "segmentation", extent.partition)
                found: Any = await self.redis.client.hget(key, "offset")
                if int(found or -1) + 1 < extent.end:
                    return False
            return True

        await eventually(all_applied, "all events are decided on", 60)

    async def delete_records(self) -> None:
        """Has the broker delete all records of the log, as retention would."""

        topic = self.settings.topic_prefix + EVENTS.name
        async with open_log(self.settings.kafka_bootstrap_servers) as log:
            extents = await log.extents(topic, range(KEYED_PARTITIONS))
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka_bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_records(
                {TopicPartition(topic, e.partition): RecordsToDelete(before_offset=e.end) for e in extents}
            )
        finally:
            await admin.close()


@asynccontextmanager
async def opened(platform: EmbeddedPlatform, folder: Path) -> AsyncIterator[World]:
    run, (port,) = uuid4().hex[:8], free_ports(1)
    await kafka_topics.create(platform.kafka_bootstrap_servers, physical_topics(f"{run}-"))
    producer = Producer(platform.kafka_bootstrap_servers, f"{run}-")
    redis = RedisClient(platform.redis_url)
    await producer.start()
    async with running(union_schema()) as schemas:
        settings = Settings.model_validate(
            {
                "kafka_bootstrap_servers": platform.kafka_bootstrap_servers,
                "topic_prefix": f"{run}-",
                "kafka_session_timeout_ms": 6_000,
                "redis_url": platform.redis_url,
                "redis_namespace": run,
                "http_port": port,
                "log_level": "warning",
                "database_url": f"sqlite+aiosqlite:///{folder}/segmentation.db",
                "ingestion_url": schemas,
            }
        )
        url = f"http://127.0.0.1:{port}"
        variables = {f"FRESHET_SEGMENTATION_{n}".upper(): str(v) for n, v in settings.model_dump().items()}
        with Freshet.connect({"segmentation": url}) as client, _ended() as started:
            made = World(settings, client, url, os.environ | variables, producer, redis)
            started.append(made)
            yield made
    await producer.stop()
    await redis.stop()


@contextmanager
def _ended() -> Iterator[list[World]]:
    """Kills the processes of worlds at the end of the block."""
    worlds: list[World] = []
    try:
        yield worlds
    finally:
        for one in worlds:
            if one.process is not None and one.process.poll() is None:
                one.kill()


def _share(readiness: dict[str, Any]) -> float:
    if readiness["state"] == "ready":
        return 1.0
    return float(readiness["progress"]["share"]) if readiness["progress"] else 0.0
