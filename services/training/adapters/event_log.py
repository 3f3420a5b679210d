"""The `events` log, read from its start to where it ended when the run began; no consumer group, no commits."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from shared.adapters.kafka_access import KafkaAccess
from shared.adapters.kafka_log import Extent, LogReader, open_log
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS
from shared.kernel.errors import Rejected

_FETCH_BYTES_MAX = 4 * 1024 * 1024


class KafkaEventLog:
    """Implements the recipes' `FactLog`. Holds one fetched batch at a time."""

    def __init__(self, kafka: str | KafkaAccess, prefix: str) -> None:
        self._kafka = kafka
        self._topic = prefix + EVENTS.name
        self.undecodable = 0

    async def partitions(self) -> AsyncIterator[AsyncIterator[list[Fact]]]:
        """Yields one iterator of batches in arrival order per partition; each must be used up before the next.

        Raises Retryable when Kafka does not answer.
        """
        async with open_log(self._kafka, "training", _FETCH_BYTES_MAX) as log:
            for extent in await log.extents(self._topic, range(EVENTS.partitions)):
                yield self._read(log, extent)

    async def _read(self, log: LogReader, extent: Extent) -> AsyncIterator[list[Fact]]:
        async with aclosing(log.read(self._topic, extent)) as batches:
            async for records in batches:
                if facts := [fact for record in records if (fact := self._decode(record.value)) is not None]:
                    yield facts

    def _decode(self, raw: bytes | None) -> Fact | None:
        try:
            fact: Fact = EVENTS.codec.decode(raw or b"")
        except Rejected:
            self.undecodable += 1
            return None
        return fact
