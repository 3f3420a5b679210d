"""The events: facts of the source, encoded once, put into `events` as fast as Kafka takes them or at a steady rate."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from shared.cli.sources.choose import choose_source
from shared.cli.sources.source import Datasets, SourceEvent
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS
from shared.kernel.clock import parse_instant
from shared.kernel.ids import profile_id

_TENANT = "default"
_BATCH_BYTES = 131_072
_CHUNK = 4_000
_SLICE_S = 0.005

Row = tuple[int, bytes, bytes]
"""Partition, key and value of a fact."""


def facts(folder: Path | None, count: int) -> Iterator[Row]:
    """The first `count` events of the source in `folder`, of synthetic people without one."""
    source = choose_source(folder, users=count // 8 + 1, seed=0)
    messages = (item for item in source.read(Datasets("events", "profiles")) if item.kind == "event")
    for item in islice(messages, count):
        yield _row(item)


def plain(key: str, at: int) -> Row:
    """A small event of one profile; `at` is its `occurred_at` (µs)."""
    fact = Fact(key, "event", _TENANT, key, at, at, body={"eventType": "bench"})
    return partition_of(key, EVENTS.partitions), key.encode(), encode(fact)


def _row(item: SourceEvent) -> Row:
    entity = dict(item.message.body.xdm_entity)
    profile = profile_id(_TENANT, item.identity.namespace, item.identity.id)
    fact = Fact(
        id=entity["_id"],
        type="event",
        tenant=_TENANT,
        profile_id=profile,
        occurred_at=parse_instant(entity["timestamp"]),
        received_at=item.received_at,
        dataset_id="events",
        identities=(item.identity,),
        body=entity,
    )
    return partition_of(profile, EVENTS.partitions), profile.encode(), encode(fact)


class Loader:
    """Writes rows to the `events` topic of a prefix. Records carry the time at which they were handed over."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = prefix + EVENTS.name
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> "Loader":
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=_BATCH_BYTES,
        )
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._producer is not None
        await self._producer.stop()

    async def all(self, rows: Iterator[Row]) -> int:
        """Writes all rows as fast as Kafka takes them; returns how many."""
        count, waiting = 0, list[Any]()
        while chunk := list(islice(rows, _CHUNK)):
            submitted = await self.submit(chunk)
            await asyncio.gather(*waiting)
            waiting, count = submitted, count + len(chunk)
        await asyncio.gather(*waiting)
        return count

    async def steadily(self, rows: Sequence[Row], rate: int) -> float:
        """Writes rows at `rate` per second, in slices of 5 ms; returns the rate that was reached."""
        started, sent, waiting = time.monotonic(), 0, list[Any]()
        while sent < len(rows):
            due = min(len(rows), int((time.monotonic() - started) * rate))
            if due > sent:
                waiting += await self.submit(rows[sent:due])
                sent = due
            waiting = [future for future in waiting if not future.done()]
            await asyncio.sleep(_SLICE_S)
        seconds = time.monotonic() - started
        await asyncio.gather(*waiting)
        return sent / seconds

    async def submit(self, rows: Sequence[Row]) -> list[Any]:
        """Hands rows over, one run per partition; the futures resolve when they are durable."""
        assert self._producer is not None
        groups: defaultdict[int, list[Row]] = defaultdict(list)
        for row in rows:
            groups[row[0]].append(row)
        futures: list[Any] = []
        for partition, group in groups.items():
            now_ms, batch = time.time_ns() // 1_000_000, self._producer.create_batch()
            for _, key, value in group:
                if batch.append(timestamp=now_ms, key=key, value=value) is None:
                    futures.append(await self._producer.send_batch(batch, self._topic, partition=partition))
                    batch = self._producer.create_batch()
                    batch.append(timestamp=now_ms, key=key, value=value)
            futures.append(await self._producer.send_batch(batch, self._topic, partition=partition))
        return futures
