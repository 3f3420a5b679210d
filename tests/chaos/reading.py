"""Reads one partition of a topic from its start to its end, in no group, a piece at a time."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.contracts.topics import Topic
from tests.chaos.crew import Line
from tests.chaos.findings import Findings

_FETCH_BYTES = 4 * 1024 * 1024
_SILENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """What a checker needs. `acked`: ids in the order they were confirmed, over Kafka or HTTP; `unanswered`: ids that
    may be in or not; `poison`: (topic, raw value) pairs sent to this partition; `feature_hash`: of the feature set;
    `troubled`: spans (µs) in which something was broken."""

    bootstrap_servers: str
    redis_port: int
    partition: int
    line: Line
    acked: Sequence[str]
    poison: frozenset[tuple[str, bytes]] = frozenset()
    feature_hash: str = ""
    unanswered: frozenset[str] = frozenset()
    troubled: Sequence[tuple[int, int]] = ()


@dataclass
class Reader:
    """Topics of one partition. `ends`: end offsets of what was read; poison is set aside in `poisoned`."""

    job: Job
    findings: Findings
    ends: dict[str, int] = field(default_factory=dict)
    poisoned: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def raw(self, name: str) -> Iterator[ConsumerRecord]:
        self.ends[name] = 0
        for record in read_partition(self.job.bootstrap_servers, self.job.line.prefix + name, self.job.partition):
            self.ends[name] = record.offset + 1
            yield record

    def good(self, topic: Topic) -> Iterator[ConsumerRecord]:
        poisoned = self.poisoned.setdefault(topic.name, {})
        for record in self.raw(topic.name):
            if (topic.name, record.value) in self.job.poison:
                poisoned[record.offset] = record.value
            else:
                yield record


def read_partition(bootstrap_servers: str, topic: str, partition: int) -> Iterator[ConsumerRecord]:
    """Yields every record that is there now. Raises TimeoutError when the broker falls silent before the end."""
    place = TopicPartition(topic, partition)
    with asyncio.Runner() as runner:
        consumer, end = runner.run(_opened(bootstrap_servers, place))
        try:
            position = 0
            while position < end:
                for record in runner.run(_next(consumer, place)):
                    yield record
                    position = record.offset + 1
        finally:
            runner.run(consumer.stop())


async def _opened(bootstrap_servers: str, place: TopicPartition) -> tuple[AIOKafkaConsumer, int]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, max_partition_fetch_bytes=_FETCH_BYTES
    )
    await consumer.start()
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    return consumer, (await consumer.end_offsets([place]))[place]


async def _next(consumer: AIOKafkaConsumer, place: TopicPartition) -> Sequence[ConsumerRecord]:
    async with asyncio.timeout(_SILENCE_S):
        while True:
            fetched = await consumer.getmany(place, timeout_ms=1_000)
            if found := fetched.get(place):
                return list(found)
