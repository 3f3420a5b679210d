"""The `events` log as a book to look things up in: no consumer group, no commits, small batches."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from services.segmentation.ports import Extent
from shared.adapters import kafka_log
from shared.adapters.kafka_access import KafkaAccess
from shared.adapters.kafka_log import ConsumerRecord, open_log
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS
from shared.kernel.errors import Rejected

_ROWS_MAX = 200
"""Records decoded at once: two or three milliseconds, so that the event loop stays free for the stream."""
_FOLLOW_PACE_S = 0.05
_FOLLOW_ROWS_MAX = 80
_LOOK_BACK_ROWS = 2_000
_LOOK_UPS_MAX = 2
_CLIENT_ID = "segmentation-look-up"


class KafkaFactLog:
    """Implements `FactLog`. Each reading has a consumer of its own."""

    def __init__(self, bootstrap_servers: str | KafkaAccess, prefix: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = prefix + EVENTS.name
        self._look_ups = asyncio.Semaphore(_LOOK_UPS_MAX)

    async def extents(self) -> Sequence[Extent]:
        async with open_log(self._bootstrap_servers, _CLIENT_ID) as log:
            return [Extent(*extent) for extent in await log.extents(self._topic, range(EVENTS.partitions))]

    async def read(self, extents: Sequence[Extent]) -> AsyncGenerator[Sequence[Fact], None]:
        wanted = [kafka_log.Extent(extent.partition, extent.start, extent.end) for extent in extents]
        reading = kafka_log.read_log(
            self._bootstrap_servers, self._topic, wanted, rows_max=_ROWS_MAX, client_id=_CLIENT_ID
        )
        async with aclosing(reading) as batches:
            async for records in batches:
                yield [fact for record in records if (fact := _decode(record)) is not None]

    async def follow(
        self, partition: int, start: int, wants: Callable[[str], bool]
    ) -> AsyncGenerator[tuple[Sequence[tuple[int, Fact]], int, int], None]:
        async with open_log(self._bootstrap_servers, _CLIENT_ID) as log:
            while True:
                (extent,) = await log.extents(self._topic, [partition])
                first = start = max(start, extent.start)
                if start >= extent.end:
                    yield (), start, first
                    await asyncio.sleep(_FOLLOW_PACE_S)
                    continue
                unread = kafka_log.Extent(partition, start, extent.end)
                async with aclosing(log.read(self._topic, unread, _FOLLOW_ROWS_MAX)) as batches:
                    async for records in batches:
                        start = records[-1].offset + 1
                        yield _wanted(records, wants), start, first
                start = max(start, extent.end)

    async def newest_of(self, profile_id: str, rows_max: int) -> AsyncGenerator[Sequence[Fact], None]:
        """Reads backwards in steps that double, and decodes nothing but the profile's own records."""
        key = profile_id.encode()
        async with self._look_ups, open_log(self._bootstrap_servers, _CLIENT_ID) as log:
            (whole,) = await log.extents(self._topic, [partition_of(profile_id, EVENTS.partitions)])
            start, end, step = max(whole.start, whole.end - rows_max), whole.end, _LOOK_BACK_ROWS
            while end > start:
                extent = kafka_log.Extent(whole.partition, max(start, end - step), end)
                found: list[Fact] = []
                async with aclosing(log.read(self._topic, extent, _ROWS_MAX)) as batches:
                    async for records in batches:
                        found += [fact for r in records if r.key == key and (fact := _decode(r)) is not None]
                yield found[::-1]
                end, step = extent.start, step * 2


def _wanted(records: Sequence[ConsumerRecord], wants: Callable[[str], bool]) -> list[tuple[int, Fact]]:
    """Decodes what is wanted. Keys are looked at first: a slice of many needs few of the records."""
    found = []
    for record in records:
        if wants((record.key or b"").decode("utf-8", "replace")):
            fact = _decode(record)
            if fact is not None:
                found.append((record.offset, fact))
    return found


def _decode(record: ConsumerRecord) -> Fact | None:
    try:
        fact: Fact = EVENTS.codec.decode(record.value or b"")
    except Rejected:  # it lies in the dead letters, with its reason
        return None
    return fact
