"""Kafka through aiokafka: an idempotent producer, stage consumers and readers of compacted topics.

Settings measured on a real broker: acks=all, idempotence, snappy, no linger, one batch a partition and step.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from mode import Service

from shared.adapters.kafka_access import KafkaAccess, client_options
from shared.adapters.kafka_log import open_log
from shared.adapters.kafka_refusal import why_unreachable
from shared.contracts.codec import encode
from shared.contracts.headers import Headers
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import Topic
from shared.kernel.errors import Retryable

__all__ = [
    "CompactedReader",
    "ConsumerRecord",
    "IllegalStateError",
    "KafkaAccess",
    "KafkaError",
    "Message",
    "Producer",
    "Receipt",
    "TopicPartition",
]

_COMPRESSION = "snappy"
"""aiokafka compresses lz4 at its slowest level: 7 ns a byte, 10 µs an event in segmentation; snappy takes 0.7."""
_BATCH_BYTES_MAX = 131_072
_REQUEST_BYTES_MAX = 4 * 1024 * 1024
_REQUEST_TIMEOUT_MS = 30_000


class Message(msgspec.Struct, frozen=True, gc=False):
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

    def __init__(self, servers: str | KafkaAccess, prefix: str = "", client_id: str = "freshet") -> None:
        super().__init__()
        self._servers = servers
        self._prefix = prefix
        self._client_id = client_id
        self._client: AIOKafkaProducer | None = None
        self._renewal = asyncio.Lock()

    async def on_start(self) -> None:
        try:
            self._client = await self._connect()
        except KafkaError as error:
            raise await why_unreachable(self._client_id, self._servers, error) from error

    async def on_stop(self) -> None:
        if self._client is not None:
            try:
                async with asyncio.timeout(5):
                    await self._client.stop()
            except TimeoutError:
                self.log.warning("producer did not flush within 5 s; unacknowledged records will be sent again")

    async def _connect(self) -> AIOKafkaProducer:
        client = AIOKafkaProducer(
            **client_options(self._servers),
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            compression_type=_COMPRESSION,
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
        return _written_at(metadata)

    async def send_all(
        self, topic: Topic, records: Sequence[tuple[str, bytes]], headers: Headers = (), timeout_s: float = 10.0
    ) -> Sequence[Receipt | Retryable]:
        """Sends encoded records by key; returns once each is durable or not known to be, outcomes in their order.

        Records join the batches that other callers have begun, so that many small calls cost few requests.
        """
        client, sent = self._ready(), list[asyncio.Future[Any]]()
        name, listed = self._prefix + topic.name, list(headers)
        with contextlib.suppress(TimeoutError, KafkaError):  # outcomes are read from the futures
            async with asyncio.timeout(timeout_s):
                for key, raw in records:
                    sent.append(await _sent(client, name, key, raw, destination(topic, key), listed))
                await (sent[0] if len(sent) == 1 else asyncio.wait(sent))
        sent += [asyncio.Future() for _ in range(len(records) - len(sent))]
        outcomes = [_receipt(future, topic, timeout_s) for future in sent]
        if any(isinstance(outcome, Retryable) for outcome in outcomes):
            await self._renew(client)
        return outcomes

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


async def _sent(
    client: AIOKafkaProducer, name: str, key: str, raw: bytes, partition: int, headers: list[tuple[str, bytes]]
) -> "asyncio.Future[Any]":
    """Hands one record over; what the client refuses itself fails like what the broker refuses."""
    try:
        future: asyncio.Future[Any] = await client.send(
            name, raw, key=key.encode(), partition=partition, headers=headers
        )
    except KafkaError as error:
        future = asyncio.Future()
        future.set_exception(error)
    return future


def _written_at(metadata: Any) -> Receipt:
    """Reads what Kafka has confirmed."""
    return Receipt(metadata.partition, metadata.offset, metadata.timestamp or time.time_ns() // 1_000_000)


def _receipt(sent: "asyncio.Future[Any]", topic: Topic, timeout_s: float) -> Receipt | Retryable:
    """Returns what became of a record; one that is under way still is given up."""
    if sent.cancel() or sent.cancelled():
        return Retryable(f"Kafka did not confirm a record for {topic.name} within {timeout_s:g} s")
    if (error := sent.exception()) is not None:
        return Retryable(f"Kafka did not confirm a record for {topic.name}: {type(error).__name__} {error}")
    return _written_at(sent.result())


def _fill(client: AIOKafkaProducer, messages: Iterable[Message]) -> Iterable[Any]:
    """Yields batches filled to the size limit, in order."""
    builder = client.create_batch()
    append, filled = builder.append, False
    now_ms = time.time_ns() // 1_000_000
    for message in messages:
        at, key, value, headers = message.timestamp_ms or now_ms, message.key, message.value, list(message.headers)
        if append(timestamp=at, key=key, value=value, headers=headers) is None:
            if filled:
                yield builder
            builder = client.create_batch()
            append = builder.append
            append(timestamp=at, key=key, value=value, headers=headers)
        filled = True
    if filled:
        yield builder


class CompactedReader(Service):
    """Reads a one-partition compacted topic from its start, then follows it; every process reads all of it.

    `on_record(key, value)` is called in log order; value None is a tombstone. `caught_up` turns true once the end
    offset seen at start has been reached. A record that cannot be decoded is logged and left out.
    """

    def __init__(
        self, servers: str | KafkaAccess, topic: Topic, on_record: Callable[[str, Any], None], prefix: str = ""
    ) -> None:
        super().__init__()
        self.caught_up = False
        self._servers = servers
        self._topic = topic
        self._name = prefix + topic.name
        self._on_record = on_record

    @Service.task
    async def _follow(self) -> None:
        """Connects with patience (an edge starts without Kafka), reads to the end, then follows."""
        while not self.should_stop:
            try:
                await self._read()
            except Retryable as error:
                self.log.warning("cannot read %s: %s; trying again", self._topic.name, error)
                await self.sleep(1.0)

    async def _read(self) -> None:
        async with open_log(self._servers) as log:
            (whole,) = await log.extents(self._name, (0,))
            async with aclosing(log.follow(self._name, 0, whole.start)) as batches:
                async for records, position in batches:
                    for record in records:
                        self._deliver(record)
                    if position >= whole.end:
                        self.caught_up = True
                    if self.should_stop:
                        return

    def _deliver(self, record: ConsumerRecord) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        try:
            value = None if record.value is None else self._topic.codec.decode(record.value)
            self._on_record(key, value)
        except Exception as error:  # one bad control record must not blind the process to the rest
            self.log.error("record %s@%d of %s left out: %r", key, record.offset, self._topic.name, error)
