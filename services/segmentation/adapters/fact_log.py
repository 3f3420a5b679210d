"""The `events` log as a book to look things up in: no consumer group, no commits, small batches."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from services.segmentation.ports import Extent
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS
from shared.kernel.errors import Rejected, Retryable

_ROWS_MAX = 200
"""Records decoded at once: two or three milliseconds, so that the event loop stays free for the stream."""
_FETCH_TIMEOUT_MS = 500
_SILENT_FETCHES_MAX = 60
_LOOK_BACK_ROWS = 2_000
_LOOK_UPS_MAX = 2


class KafkaFactLog:
    """Implements `FactLog`. Each reading has a consumer of its own."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = prefix + EVENTS.name
        self._look_ups = asyncio.Semaphore(_LOOK_UPS_MAX)

    async def extents(self) -> Sequence[Extent]:
        async with self._consumer() as consumer:
            return await self._extents(consumer, range(EVENTS.partitions))

    async def read(self, extents: Sequence[Extent]) -> AsyncGenerator[Sequence[Fact], None]:
        async with self._consumer() as consumer:
            for extent in extents:
                async with aclosing(self._records(consumer, extent)) as batches:
                    async for records in batches:
                        yield [fact for record in records if (fact := _decode(record)) is not None]

    async def newest_of(self, profile_id: str, rows_max: int) -> AsyncGenerator[Sequence[Fact], None]:
        """Reads backwards in steps that double, and decodes nothing but the profile's own records."""
        key = profile_id.encode()
        async with self._look_ups, self._consumer() as consumer:
            (whole,) = await self._extents(consumer, [partition_of(profile_id, EVENTS.partitions)])
            start, end, step = max(whole.start, whole.end - rows_max), whole.end, _LOOK_BACK_ROWS
            while end > start:
                extent = Extent(whole.partition, max(start, end - step), end)
                found: list[Fact] = []
                async with aclosing(self._records(consumer, extent)) as batches:
                    async for records in batches:
                        found += [fact for r in records if r.key == key and (fact := _decode(r)) is not None]
                yield found[::-1]
                end, step = extent.start, step * 2

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            client_id="segmentation-look-up",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            yield consumer
        except (KafkaError, OSError) as error:
            raise Retryable(f"the log {self._topic} cannot be read: {error!r}") from error
        finally:
            # aiokafka's stop raises CancelledError while a task that `assign` has made is not running yet.
            await asyncio.sleep(0)
            await consumer.stop()

    async def _extents(self, consumer: AIOKafkaConsumer, partitions: Sequence[int]) -> list[Extent]:
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        starts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return [Extent(place.partition, starts[place], ends[place]) for place in places]

    async def _records(
        self, consumer: AIOKafkaConsumer, extent: Extent
    ) -> AsyncGenerator[Sequence[ConsumerRecord], None]:
        """Yields the records of an extent. Those that retention deletes meanwhile are passed over."""
        place = TopicPartition(self._topic, extent.partition)
        consumer.assign([place])
        consumer.seek(place, extent.start)
        silent = 0
        while await consumer.position(place) < extent.end:
            fetched = await consumer.getmany(place, timeout_ms=_FETCH_TIMEOUT_MS, max_records=_ROWS_MAX)
            records = [record for record in fetched.get(place, ()) if record.offset < extent.end]
            silent = 0 if records else silent + 1
            if silent > _SILENT_FETCHES_MAX:
                limit_s = _SILENT_FETCHES_MAX * _FETCH_TIMEOUT_MS // 1000
                raise Retryable(f"Kafka sent nothing of {place.topic} partition {place.partition} for {limit_s} s")
            if records:
                yield records


def _decode(record: ConsumerRecord) -> Fact | None:
    try:
        fact: Fact = EVENTS.codec.decode(record.value or b"")
    except Rejected:  # it lies in the dead letters, with its reason
        return None
    return fact
