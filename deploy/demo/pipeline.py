"""How far the pipeline has come: end offsets of its topics, and what each service has still to read."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.contracts.topics import (
    EVENTS,
    FEATURE_VECTORS,
    INBOUND,
    PROFILE_UPDATES,
    SCORES,
    SEGMENT_MEMBERSHIPS,
    Topic,
)

READERS: Mapping[str, Topic] = {
    "ingestion": INBOUND,
    "segmentation": EVENTS,
    "profile_store": PROFILE_UPDATES,
    "scoring": FEATURE_VECTORS,
}
"""The stages of the loop by consumer group, each with the topic it reads."""

_WRITTEN = (SCORES, SEGMENT_MEMBERSHIPS)
_STABLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """One observation. `ends`: records ever written, by topic. `done`: records read and applied, by group.
    `at_s`: monotonic seconds."""

    at_s: float
    ends: Mapping[str, int]
    done: Mapping[str, int]

    def lag(self, group: str) -> int:
        return max(0, self.ends[READERS[group].name] - self.done[group])

    @property
    def undecided(self) -> int:
        """Records sent on which segmentation has not decided yet."""
        return self.lag("ingestion") + self.lag("segmentation")


NOTHING = Look(0.0, {t.name: 0 for t in (*READERS.values(), *_WRITTEN)}, dict.fromkeys(READERS, 0))


@dataclass
class Pipeline:
    """Looks at the broker. Commits trail the work by up to a second, so lags are never told too small."""

    bootstrap_servers: str
    prefix: str = ""
    _admin: AIOKafkaAdminClient | None = field(default=None, init=False)
    _consumer: AIOKafkaConsumer | None = field(default=None, init=False)

    async def start(self) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap_servers, enable_auto_commit=False)
        await self._admin.start()
        await self._consumer.start()

    async def stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
        if self._admin is not None:
            await self._admin.close()

    async def look(self) -> Look | None:
        """Observes; None while the broker does not answer."""
        assert self._admin is not None
        assert self._consumer is not None
        topics = {topic.name: topic for topic in (*READERS.values(), *_WRITTEN)}
        partitions = {name: self._partitions(topic) for name, topic in topics.items()}
        try:
            # Positions before ends: what is written in between then counts as lag, never as done.
            offsets = await asyncio.gather(
                *(self._admin.list_consumer_group_offsets(self.prefix + group) for group in READERS)
            )
            ends = await self._consumer.end_offsets([p for some in partitions.values() for p in some])
        except (KafkaError, OSError):
            return None
        done = {
            group: sum(max(0, offset.offset) for p, offset in known.items() if p in set(partitions[topic.name]))
            for (group, topic), known in zip(READERS.items(), offsets, strict=True)
        }
        return Look(time.monotonic(), {name: sum(ends[p] for p in some) for name, some in partitions.items()}, done)

    def _partitions(self, topic: Topic) -> list[TopicPartition]:
        return [TopicPartition(self.prefix + topic.name, number) for number in range(topic.partitions)]


@dataclass
class Quiet:
    """Tells when nothing moves any more: all lags are zero and have been, without a new record, for a while.

    The loop (scores return as facts, deadlines become decisions) may write new records just after all was read, so
    one look is not enough. Without a champion, scoring waits for one and its lag does not count.
    """

    groups: frozenset[str]
    stable_s: float = _STABLE_S
    _since: Look | None = field(default=None, init=False)

    def note(self, look: Look) -> bool:
        """Takes the next look; returns whether the pipeline is at rest."""
        if any(look.lag(group) for group in self.groups):
            self._since = None
        elif self._since is None or self._since.ends != look.ends:
            self._since = look
        return self._since is not None and look.at_s - self._since.at_s >= self.stable_s
