"""The `events` log, read from its start to where it ended when the run began; no consumer group, no commits."""

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS
from shared.kernel.errors import Rejected, Retryable

_FETCH_TIMEOUT_MS = 1_000
_RECORDS_MAX = 2_000
_SILENT_FETCHES_MAX = 30


class KafkaEventLog:
    """Implements the recipes' `FactLog`. Holds one fetched batch at a time."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = prefix + EVENTS.name
        self.undecodable = 0

    async def partitions(self) -> AsyncIterator[AsyncIterator[list[Fact]]]:
        """Yields one iterator of batches in arrival order per partition; each must be used up before the next.

        Raises Retryable when Kafka does not answer.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        try:
            await consumer.start()
            every = [TopicPartition(self._topic, partition) for partition in range(EVENTS.partitions)]
            ends = await consumer.end_offsets(every)
            for partition in every:
                yield self._read(consumer, partition, ends[partition])
        except (KafkaError, OSError) as error:
            raise Retryable(f"the log {self._topic} cannot be read: {error!r}") from error
        finally:
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, partition: TopicPartition, end: int) -> AsyncIterator[list[Fact]]:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        silent = 0
        while await consumer.position(partition) < end:
            fetched = await consumer.getmany(partition, timeout_ms=_FETCH_TIMEOUT_MS, max_records=_RECORDS_MAX)
            records = [record for record in fetched.get(partition, ()) if record.offset < end]
            silent = 0 if records else silent + 1
            if silent > _SILENT_FETCHES_MAX:
                raise Retryable(f"Kafka sent nothing of {partition.topic} partition {partition.partition} for 30 s")
            if facts := [fact for record in records if (fact := self._decode(record.value)) is not None]:
                yield facts

    def _decode(self, raw: bytes | None) -> Fact | None:
        try:
            fact: Fact = EVENTS.codec.decode(raw or b"")
        except Rejected:
            self.undecodable += 1
            return None
        return fact
