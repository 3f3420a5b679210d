"""Kafka through aiokafka: an idempotent producer, stage consumers and readers of compacted topics.

Settings measured on a real broker: acks=all, idempotence, lz4, no linger, one batch a partition and step.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError
from mode import Service

from shared.contracts.codec import encode
from shared.contracts.headers import Headers
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import Topic
from shared.kernel.errors import Retryable

__all__ = [
    "CompactedReader",
    "ConsumerRecord",
    "IllegalStateError",
    "KafkaError",
    "Message",
    "Producer",
    "Receipt",
    "TopicPartition",
    "log_start_offsets",
    "stage_consumer",
]

_BATCH_BYTES_MAX = 131_072
_REQUEST_BYTES_MAX = 4 * 1024 * 1024
_REQUEST_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Message:
    """An encoded record on its way to a physical topic and partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an acknowledged record lies. `timestamp_ms` is the broker's append time where the topic keeps that."""

    partition: int
    offset: int
    timestamp_ms: int


def destination(topic: Topic, key: str | None, partition: int | None = None) -> int:
    """Returns the partition of a record: as asked, or the key's, or 0 for control topics."""
    if partition is not None:
        return partition
    return partition_of(key, topic.partitions) if key is not None and topic.partitions > 1 else 0


class Producer(Service):
    """An idempotent producer that confirms. Records of one partition keep their order.

    After an error whose outcome is unknown the underlying client is made anew: a broken sequence must not poison
    later sends. Callers repeat with the same ids.
    """

    def __init__(self, bootstrap_servers: str, prefix: str = "", client_id: str = "freshet") -> None:
        super().__init__()
        self._bootstrap_servers = bootstrap_servers
        self._prefix = prefix
        self._client_id = client_id
        self._client: AIOKafkaProducer | None = None
        self._renewal = asyncio.Lock()

    async def on_start(self) -> None:
        self._client = await self._connect()

    async def on_stop(self) -> None:
        if self._client is not None:
            try:
                async with asyncio.timeout(5):
                    await self._client.stop()
            except TimeoutError:
                self.log.warning("producer did not flush within 5 s; unacknowledged records will be sent again")

    async def _connect(self) -> AIOKafkaProducer:
        client = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=0,
            max_batch_size=_BATCH_BYTES_MAX,
            max_request_size=_REQUEST_BYTES_MAX,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        await client.start()
        return client

    async def ping(self) -> None:
        """Raises when no broker answers."""
        await self._ready().client.fetch_all_metadata()

    def _ready(self) -> AIOKafkaProducer:
        if self._client is None:
            raise Retryable("the Kafka producer is not connected yet")
        return self._client

    async def send(
        self,
        topic: Topic,
        key: str | None,
        value: Any,
        headers: Headers = (),
        partition: int | None = None,
        timeout_s: float = 10.0,
    ) -> Receipt:
        """Sends one record (a Struct, raw bytes, or None for a tombstone) and returns once it is durable.

        Raises Retryable when that did not happen within `timeout_s`: the outcome is unknown, repeat with the same id.
        """
        client = self._ready()
        raw = value if value is None or isinstance(value, bytes) else encode(value)
        try:
            async with asyncio.timeout(timeout_s):
                metadata = await client.send_and_wait(
                    self._prefix + topic.name,
                    raw,
                    key=None if key is None else key.encode(),
                    partition=destination(topic, key, partition),
                    headers=list(headers),
                )
        except (KafkaError, TimeoutError) as error:
            await self._renew(client)
            raise Retryable(
                f"Kafka did not confirm a record for {topic.name}: {type(error).__name__} {error}"
            ) from error
        return Receipt(metadata.partition, metadata.offset, metadata.timestamp or time.time_ns() // 1_000_000)

    async def _renew(self, broken: AIOKafkaProducer) -> None:
        async with self._renewal:
            if self._client is not broken or broken is None:
                return
            stopping = asyncio.create_task(broken.stop())
            await asyncio.wait({stopping}, timeout=1.0)
            try:
                async with asyncio.timeout(5):
                    self._client = await self._connect()
            except (KafkaError, TimeoutError, OSError) as error:
                self.log.warning("Kafka is not reachable: %r", error)

    async def submit(self, messages: Sequence[Message]) -> Sequence[Awaitable[Any]]:
        """Hands records over in batches, one run per partition; the returned futures resolve when they are durable.

        Order per partition is the order given. Blocks while earlier batches of a partition are still pending.
        """
        client = self._ready()
        groups: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in messages:
            groups[message.topic, message.partition].append(message)
        futures: list[Awaitable[Any]] = []
        for (topic, partition), group in groups.items():
            for builder in _fill(client, group):
                futures.append(await client.send_batch(builder, topic, partition=partition))
        return futures


def _fill(client: AIOKafkaProducer, messages: Iterable[Message]) -> Iterable[Any]:
    """Yields batches filled to the size limit, in order."""
    builder, filled = client.create_batch(), 0
    now_ms = time.time_ns() // 1_000_000
    for message in messages:
        at = message.timestamp_ms or now_ms
        headers = list(message.headers)
        if builder.append(timestamp=at, key=message.key, value=message.value, headers=headers) is None:
            if filled:
                yield builder
            builder, filled = client.create_batch(), 0
            builder.append(timestamp=at, key=message.key, value=message.value, headers=headers)
        filled += 1
    if filled:
        yield builder


def stage_consumer(
    bootstrap_servers: str, group: str, session_timeout_ms: int, client_id: str = "freshet"
) -> AIOKafkaConsumer:
    """Returns a consumer for a stage: commits by hand, starts at the log's beginning when nothing is committed."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=max(500, session_timeout_ms // 5),
        max_poll_interval_ms=300_000,
        max_partition_fetch_bytes=1024 * 1024,
        fetch_max_wait_ms=200,
    )


async def log_start_offsets(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """Returns the oldest offset the broker still holds, per partition."""
    offsets: dict[TopicPartition, int] = await consumer.beginning_offsets(list(partitions))
    return offsets


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes assignment changes to two coroutines. aiokafka swallows what a listener raises, so they must not."""

    def __init__(
        self,
        revoked: Callable[[Sequence[TopicPartition]], Awaitable[None]],
        assigned: Callable[[Sequence[TopicPartition]], Awaitable[None]],
    ) -> None:
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        await self._revoked(revoked)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        await self._assigned(assigned)


class CompactedReader(Service):
    """Reads a one-partition compacted topic from its start, then follows it; every process reads all of it.

    `on_record(key, value)` is called in log order; value None is a tombstone. `caught_up` turns true once the end
    offset seen at start has been reached. A record that cannot be decoded is logged and left out.
    """

    def __init__(
        self, bootstrap_servers: str, topic: Topic, on_record: Callable[[str, Any], None], prefix: str = ""
    ) -> None:
        super().__init__()
        self.caught_up = False
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._partition = TopicPartition(prefix + topic.name, 0)
        self._on_record = on_record
        self._consumer: AIOKafkaConsumer | None = None

    @Service.task
    async def _follow(self) -> None:
        """Connects with patience (an edge starts without Kafka), reads to the end, then follows."""
        while not self.should_stop:
            try:
                await self._read()
            except (KafkaError, OSError) as error:
                self.log.warning("cannot read %s: %r; trying again", self._topic.name, error)
                await self.sleep(1.0)
            finally:
                await self._close()

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap_servers, enable_auto_commit=False)
        self._consumer = consumer
        await consumer.start()
        consumer.assign([self._partition])
        await consumer.seek_to_beginning(self._partition)
        end = (await consumer.end_offsets([self._partition]))[self._partition]
        while not self.should_stop:
            if await consumer.position(self._partition) >= end:
                self.caught_up = True
            batches = await consumer.getmany(timeout_ms=200)
            for record in (record for records in batches.values() for record in records):
                self._deliver(record)

    def _deliver(self, record: ConsumerRecord) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        try:
            value = None if record.value is None else self._topic.codec.decode(record.value)
            self._on_record(key, value)
        except Exception as error:  # one bad control record must not blind the process to the rest
            self.log.error("record %s@%d of %s left out: %r", key, record.offset, self._topic.name, error)

    async def on_stop(self) -> None:
        await self._close()

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
