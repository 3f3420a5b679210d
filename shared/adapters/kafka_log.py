"""A log read by extents: no consumer group, no commits, any number of readers beside the stages.

One reader serves everything that looks back: training sets, look-ups, rebuilds, dead letters, definitions. Positions,
not the records seen, decide when an extent is read, because compaction and transactions leave holes.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from shared.adapters.kafka_access import KafkaAccess, client_options
from shared.contracts.topics import Topic
from shared.kernel.errors import Retryable

__all__ = ["ConsumerRecord", "Extent", "LogReader", "delete_before", "newest_values", "open_log", "read_log"]

_FETCH_TIMEOUT_MS = 500
_FOLLOW_TIMEOUT_MS = 200
_SILENCE_LIMIT_S = 30
_FETCH_BYTES_MAX = 1024 * 1024


class Extent(NamedTuple):
    """Offsets `start` (inclusive) to `end` (exclusive) of one partition."""

    partition: int
    start: int
    end: int

    @property
    def rows(self) -> int:
        return max(0, self.end - self.start)


async def read_log(
    bootstrap_servers: str | KafkaAccess,
    topic: str,
    extents: Sequence[Extent],
    *,
    rows_max: int = 2_000,
    client_id: str = "freshet-log",
) -> AsyncGenerator[Sequence[ConsumerRecord], None]:
    """Yields the raw records of `extents`, one partition after the other, in offset order, at most `rows_max` at once.

    `topic` is physical (with its prefix). Records that retention deletes meanwhile are passed over: whoever cannot
    bear that compares offsets. Raises Retryable when Kafka does not answer or the topic does not exist. Leave early
    with `aclosing`, so that the consumer is closed at once.
    """
    async with open_log(bootstrap_servers, client_id) as log:
        for extent in extents:
            async with aclosing(log.read(topic, extent, rows_max)) as batches:
                async for records in batches:
                    yield records


@asynccontextmanager
async def open_log(
    bootstrap_servers: str | KafkaAccess, client_id: str = "freshet-log", fetch_bytes_max: int = _FETCH_BYTES_MAX
) -> AsyncIterator["LogReader"]:
    """Opens a reader for several extents; one reading at a time. Raises Retryable when Kafka does not answer."""
    consumer = AIOKafkaConsumer(
        **client_options(bootstrap_servers),
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=fetch_bytes_max,
    )
    try:
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            raise Retryable(f"Kafka at {bootstrap_servers} does not answer: {error!r}") from error
        yield LogReader(consumer)
    finally:
        # aiokafka's stop raises CancelledError while a task that `assign` has made is not running yet.
        await asyncio.sleep(0)
        await consumer.stop()


class LogReader:
    """Reads extents of any topic with one consumer. Made by `open_log`."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def extents(self, topic: str, partitions: Collection[int]) -> list[Extent]:
        """Returns what the broker holds of `partitions` now. Raises Retryable when the topic is not there."""
        places = [TopicPartition(topic, partition) for partition in partitions]
        try:
            if topic not in await self._consumer.topics():
                raise Retryable(f"Kafka has no topic {topic}: create it, or check the prefix")
            starts = await self._consumer.beginning_offsets(places)
            ends = await self._consumer.end_offsets(places)
        except (KafkaError, OSError) as error:
            raise Retryable(f"the log {topic} cannot be read: {error!r}") from error
        return [Extent(place.partition, starts[place], ends[place]) for place in places]

    async def read(
        self, topic: str, extent: Extent, rows_max: int = 2_000
    ) -> AsyncGenerator[Sequence[ConsumerRecord], None]:
        """Yields the records of one extent in offset order, at most `rows_max` at once.

        Raises Retryable when Kafka fails or sends nothing for 30 s.
        """
        place = self._place(topic, extent.partition, extent.start)
        silent_ms = 0
        while await self._position(place) < extent.end:
            records = await self._fetch(place, _FETCH_TIMEOUT_MS, rows_max)
            silent_ms = 0 if records else silent_ms + _FETCH_TIMEOUT_MS
            if silent_ms > _SILENCE_LIMIT_S * 1000:
                raise Retryable(f"Kafka sent nothing of {topic} partition {extent.partition} for {_SILENCE_LIMIT_S} s")
            if records and records[-1].offset >= extent.end:
                records = [record for record in records if record.offset < extent.end]
            if records:
                yield records

    async def follow(
        self, topic: str, partition: int, start: int = 0
    ) -> AsyncGenerator[tuple[Sequence[ConsumerRecord], int], None]:
        """Yields (records, next offset to read) for ever, with no records every 200 ms while there are none."""
        place = self._place(topic, partition, start)
        while True:
            records = await self._fetch(place, _FOLLOW_TIMEOUT_MS, None)
            yield records, await self._position(place)

    def _place(self, topic: str, partition: int, start: int) -> TopicPartition:
        place = TopicPartition(topic, partition)
        self._consumer.assign([place])
        self._consumer.seek(place, start)
        return place

    async def _position(self, place: TopicPartition) -> int:
        try:
            position: int = await self._consumer.position(place)
        except (KafkaError, OSError) as error:
            raise Retryable(f"the log {place.topic} cannot be read: {error!r}") from error
        return position

    async def _fetch(self, place: TopicPartition, timeout_ms: int, rows_max: int | None) -> Sequence[ConsumerRecord]:
        try:
            fetched = await self._consumer.getmany(place, timeout_ms=timeout_ms, max_records=rows_max)
        except (KafkaError, OSError) as error:
            raise Retryable(f"the log {place.topic} cannot be read: {error!r}") from error
        records: Sequence[ConsumerRecord] = fetched.get(place, ())
        return records


async def newest_values(bootstrap_servers: str | KafkaAccess, topic: Topic, prefix: str) -> dict[str, Any]:
    """Returns what a one-partition compacted topic holds: the newest value of each key that is not deleted.

    Raises Retryable as `read_log` does, and Rejected for a record that cannot be decoded.
    """
    found: dict[str, Any] = {}
    async with open_log(bootstrap_servers) as log:
        for extent in await log.extents(prefix + topic.name, (0,)):
            async with aclosing(log.read(prefix + topic.name, extent)) as batches:
                async for record in (record async for records in batches for record in records):
                    key = (record.key or b"").decode("utf-8", "replace")
                    found.pop(key, None)
                    if record.value is not None:
                        found[key] = topic.codec.decode(record.value)
    return found


async def delete_before(bootstrap_servers: str | KafkaAccess, topic: str, offsets: Mapping[int, int]) -> None:
    """Deletes the records of each partition that lie before its offset, for good. Raises Retryable."""
    admin = AIOKafkaAdminClient(**client_options(bootstrap_servers))
    try:
        await admin.start()
        await admin.delete_records({TopicPartition(topic, p): RecordsToDelete(end) for p, end in offsets.items()})
    except (KafkaError, OSError) as error:
        raise Retryable(f"records of {topic} cannot be deleted: {error!r}") from error
    finally:
        await admin.close()
