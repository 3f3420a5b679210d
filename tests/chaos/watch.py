"""How far the stages have come, read from Redis' fences past the proxy and from Kafka's offsets."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import redis
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.demo.pipeline import Pipeline
from shared.contracts import redis_keys
from shared.contracts.topics import EVENTS, FEATURE_VECTORS, KEYED_PARTITIONS, PROFILE_UPDATES, Topic
from tests.chaos.crew import MAIN, WALL, Crew, Line


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage that is watched. `fenced`: its position is a fence in Redis, otherwise the group's commit."""

    line: Line
    name: str
    source: Topic
    fenced: bool = True

    @property
    def topic(self) -> str:
        return self.line.prefix + self.source.name


SEGMENTATION = Stage(MAIN, "segmentation", EVENTS)
STAGES = (
    SEGMENTATION,
    Stage(MAIN, "profile_store", PROFILE_UPDATES),
    Stage(WALL, "segmentation", EVENTS),
    Stage(MAIN, "scoring", FEATURE_VECTORS, fenced=False),
)
_POLL_S = 0.1
_TRY_S = 10.0
_LOOK_EVERY_S = 0.5


@dataclass
class Watch:
    """Asks; never waits for longer than it says."""

    crew: Crew
    _admin: AIOKafkaAdminClient | None = None

    def fences(self, stage: Stage) -> dict[int, int]:
        """The applied offset by partition; -1 where there is none. Raises RedisError while Redis is down."""
        inner = self.crew.inner
        with redis.Redis(host=inner.host, port=inner.redis_port, socket_timeout=2) as client:
            names = [redis_keys.fence(stage.line.namespace, stage.name, part) for part in range(KEYED_PARTITIONS)]
            found = [client.hget(name, "offset") for name in names]
        return {partition: int(raw) if raw is not None else -1 for partition, raw in enumerate(found)}

    async def ends(self, topics: list[str]) -> dict[str, dict[int, int]]:
        """End offsets by topic and partition, however long the broker takes to tell."""
        places = [TopicPartition(topic, partition) for topic in topics for partition in range(KEYED_PARTITIONS)]
        while True:
            consumer = AIOKafkaConsumer(bootstrap_servers=self.crew.settings.kafka_bootstrap_servers)
            try:
                async with asyncio.timeout(_TRY_S):
                    await consumer.start()
                    found = await consumer.end_offsets(places)
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(_POLL_S)
            else:
                return {name: {p.partition: end for p, end in found.items() if p.topic == name} for name in topics}
            finally:
                with contextlib.suppress(Exception):
                    await consumer.stop()

    async def targets(self) -> dict[Stage, dict[int, int]]:
        """What has to be passed for everything of before, and something after it, to be applied in each partition."""
        ends = await self.ends([stage.topic for stage in STAGES])
        return {stage: ends[stage.topic] for stage in STAGES}

    async def until_passed(
        self, targets: Mapping[Stage, Mapping[int, int]], limit_s: float, last: "asyncio.Event"
    ) -> bool:
        """Waits until each partition of each stage is past its target; once `last` is set, reaching it is enough."""
        end = time.monotonic() + limit_s
        waited_for = list(targets)
        while time.monotonic() < end:
            with contextlib.suppress(redis.RedisError, KafkaError, OSError, TimeoutError):
                while waited_for:
                    applied = await self._applied(waited_for[0])
                    wanted = targets[waited_for[0]].items()
                    if any(applied.get(p, -1) < target - last.is_set() for p, target in wanted):
                        break
                    waited_for.pop(0)
                else:
                    return True
            await asyncio.sleep(_POLL_S)
        return False

    async def _applied(self, stage: Stage) -> dict[int, int]:
        """The applied offset by partition, as far as the stage tells."""
        if stage.fenced:
            return await asyncio.to_thread(self.fences, stage)
        try:
            async with asyncio.timeout(_TRY_S):
                admin = await self._connected()
                found = await admin.list_consumer_group_offsets(stage.line.prefix + stage.name)
        except BaseException:
            await self.stop()
            raise
        return {place.partition: offset.offset - 1 for place, offset in found.items()}

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(bootstrap_servers=self.crew.settings.kafka_bootstrap_servers)
            await self._admin.start()
        return self._admin

    async def stop(self) -> None:
        """Lets go of the connection to Kafka, if there is one."""
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(Exception):
                await admin.close()


@dataclass
class Lag:
    """Whether there is room for more: `room` is set while less than `limit` records wait for the main line's stages,
    as last known while Kafka is away."""

    crew: Crew
    limit: int
    room: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Looks until it is cancelled."""
        self.room.set()
        while True:
            pipeline = Pipeline(self.crew.settings.kafka_bootstrap_servers)
            try:
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    async with asyncio.timeout(_TRY_S):
                        await pipeline.start()
                    await self._look(pipeline)
            finally:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(_TRY_S):
                        await pipeline.stop()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, pipeline: Pipeline) -> None:
        while True:
            async with asyncio.timeout(_TRY_S):
                seen = await pipeline.look()
            if seen is not None and sum(seen.lag(group) for group in seen.done) > self.limit:
                self.room.clear()
            elif seen is not None:
                self.room.set()
            await asyncio.sleep(_LOOK_EVERY_S)
