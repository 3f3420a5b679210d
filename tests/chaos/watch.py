"""How far the stages have come, read from Redis' fences past the proxy and from Kafka's end offsets."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

import redis
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts import redis_keys
from shared.contracts.topics import EVENTS, KEYED_PARTITIONS, PROFILE_UPDATES, Topic
from tests.chaos.crew import Crew

NAMESPACE = "freshet"
STAGES: Mapping[str, Topic] = {"segmentation": EVENTS, "profile_store": PROFILE_UPDATES}
_POLL_S = 0.1
_TRY_S = 5.0


@dataclass
class Watch:
    """Asks; never waits for longer than it says."""

    crew: Crew

    def fences(self, stage: str) -> dict[int, int]:
        """The applied offset by partition; -1 where there is none. Raises RedisError while Redis is down."""
        inner = self.crew.inner
        with redis.Redis(host=inner.host, port=inner.redis_port, socket_timeout=2) as client:
            names = [redis_keys.fence(NAMESPACE, stage, partition) for partition in range(KEYED_PARTITIONS)]
            found = [client.hget(name, "offset") for name in names]
        return {partition: int(raw) if raw is not None else -1 for partition, raw in enumerate(found)}

    async def ends(self, topic: Topic) -> dict[int, int]:
        """End offsets by partition, however long the broker takes to tell."""
        places = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
        while True:
            consumer = AIOKafkaConsumer(bootstrap_servers=self.crew.settings.kafka_bootstrap_servers)
            try:
                async with asyncio.timeout(_TRY_S):
                    await consumer.start()
                    found = await consumer.end_offsets(places)
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(_POLL_S)
            else:
                return {place.partition: end for place, end in found.items()}
            finally:
                with contextlib.suppress(Exception):
                    await consumer.stop()

    async def targets(self) -> dict[str, dict[int, int]]:
        """What has to be passed for everything of before, and something after it, to be applied in each partition."""
        return {stage: await self.ends(topic) for stage, topic in STAGES.items()}

    async def until_passed(
        self, targets: Mapping[str, Mapping[int, int]], limit_s: float, last: "asyncio.Event"
    ) -> bool:
        """Waits until each partition of each stage is past its target; once `last` is set, reaching it is enough."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            with contextlib.suppress(redis.RedisError):
                behind = 0
                for stage, ends in targets.items():
                    fences = await asyncio.to_thread(self.fences, stage)
                    behind += sum(fences[p] < target - last.is_set() for p, target in ends.items())
                if not behind:
                    return True
            await asyncio.sleep(_POLL_S)
        return False

    def applied(self) -> int | None:
        """Records that segmentation has applied; None while Redis is down."""
        with contextlib.suppress(redis.RedisError):
            return sum(offset + 1 for offset in self.fences("segmentation").values())
        return None
