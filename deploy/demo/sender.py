"""Sends a source's messages to `inbound`, as a client on Kafka would: key, log time header, batches by partition."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaProducer

from shared.cli.sources.source import SourceEvent
from shared.contracts.codec import encode
from shared.contracts.inbound import (
    RECEIVED_AT_HEADER,
    TICKS_DATASET,
    InboundBody,
    InboundHeader,
    InboundMessage,
)
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import INBOUND
from shared.kernel.clock import Micros
from shared.kernel.ids import profile_id

TENANT = "default"
_CHUNK = 500
_BATCH_BYTES = 131_072
# A broker or service that is killed and restarted meanwhile must not lose the sender's batches.
_REQUEST_TIMEOUT_MS = 120_000

Room = Callable[[], Awaitable[int]]
"""Waits until there is room and returns for how many records."""


@dataclass
class Sender:
    """Sends in order of time, one batch per partition at a time, so that a person's records keep their order.

    `people`: the identity's value by profile id, for everybody met so far. `first_at`, `last_at`: log time, µs.
    """

    bootstrap_servers: str
    prefix: str = ""
    events: int = 0
    records: int = 0
    first_at: int = 0
    last_at: int = 0
    people: dict[str, str] = field(default_factory=dict)
    _keys: dict[tuple[str, str], tuple[bytes, int]] = field(default_factory=dict)
    _producer: AIOKafkaProducer | None = field(default=None, init=False)

    async def start(self) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap_servers,
            client_id="freshet-demo",
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        await self._producer.start()

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    @property
    def sent(self) -> int:
        """Messages handed to Kafka: events and records."""
        return self.events + self.records

    async def send(self, messages: Iterator[SourceEvent], room: Room, on_sent: Callable[[int], None]) -> None:
        """Sends all messages, as there is room; returns when they are durable."""
        waiting: list[Awaitable[Any]] = []
        while chunk := list(islice(messages, min(_CHUNK, await room()))):
            futures = await self._submit(chunk)
            # The chunk before this one is durable by now, nearly always; never more than two are under way.
            await asyncio.gather(*waiting)
            waiting = futures
            on_sent(len(chunk))
        await asyncio.gather(*waiting)

    async def tick(self, at: Micros) -> None:
        """Tells every partition that log time has reached `at`."""
        assert self._producer is not None
        message = InboundMessage(header=InboundHeader(dataset_id=TICKS_DATASET), body=InboundBody(xdm_entity={}))
        value, headers = encode(message), [(RECEIVED_AT_HEADER, str(at).encode())]
        topic = self.prefix + INBOUND.name
        for partition in range(INBOUND.partitions):
            await self._producer.send_and_wait(topic, value, headers=headers, partition=partition)

    async def _submit(self, chunk: Iterable[SourceEvent]) -> list[Awaitable[Any]]:
        assert self._producer is not None
        by_partition: dict[int, list[tuple[bytes, SourceEvent]]] = {}
        for event in chunk:
            key, partition = self._place(event)
            by_partition.setdefault(partition, []).append((key, event))
        futures: list[Awaitable[Any]] = []
        for partition, events in by_partition.items():
            for batch in self._batches(events):
                futures.append(await self._producer.send_batch(batch, self.prefix + INBOUND.name, partition=partition))
        return futures

    def _place(self, event: SourceEvent) -> tuple[bytes, int]:
        """Key and partition of an event's person; counts the event."""
        if event.kind == "event":
            self.events += 1
        else:
            self.records += 1
        self.first_at = self.first_at or event.received_at
        self.last_at = event.received_at
        who = (event.identity.namespace, event.identity.id)
        if who not in self._keys:
            profile = profile_id(TENANT, *who)
            self._keys[who] = profile.encode(), partition_of(profile, INBOUND.partitions)
            self.people[profile] = event.identity.id
        return self._keys[who]

    def _batches(self, events: Iterable[tuple[bytes, SourceEvent]]) -> Iterable[Any]:
        assert self._producer is not None
        batch, now_ms = self._producer.create_batch(), time.time_ns() // 1_000_000
        for key, event in events:
            value = encode(event.message)
            headers = [(RECEIVED_AT_HEADER, str(event.received_at).encode())]
            if batch.append(timestamp=now_ms, key=key, value=value, headers=headers) is None:
                yield batch
                batch = self._producer.create_batch()
                batch.append(timestamp=now_ms, key=key, value=value, headers=headers)
        yield batch
