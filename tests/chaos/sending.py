"""Sends a workload as a careful client would: idempotent producer, acks=all, and again what was not confirmed."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.contracts.codec import encode
from shared.contracts.inbound import RECEIVED_AT_HEADER, TICKS_DATASET, InboundBody, InboundHeader, InboundMessage
from shared.contracts.topics import INBOUND
from tests.chaos.workload import Sent

_CHUNK = 400
_BATCH_BYTES = 256 * 1024


@dataclass
class Sender:
    """`acked`: ids by partition of what Kafka has confirmed, in order; `retried`: chunks sent again."""

    bootstrap_servers: str
    acked: dict[int, list[str]] = field(default_factory=dict)
    poison: Counter[tuple[str, int, bytes]] = field(default_factory=Counter)
    records: int = 0
    retried: int = 0
    last_at: int = 0
    _producer: AIOKafkaProducer | None = None

    async def send(self, messages: Iterable[Sent], rate: float, may_go_on: Callable[[], Awaitable[Any]]) -> None:
        """Sends all, at most `rate` a second; asks before each chunk whether there is room."""
        rest, started = iter(messages), time.monotonic()
        while chunk := list(islice(rest, _CHUNK)):
            await may_go_on()
            await asyncio.sleep(max(0.0, self.records / rate - (time.monotonic() - started)))
            await self._until_acked(chunk)
            self.records += len(chunk)
            self.last_at = chunk[-1].received_at or self.last_at

    async def tick(self, at: int) -> None:
        """Tells every partition that the log's time has reached `at` (µs)."""
        value = encode(InboundMessage(InboundHeader(TICKS_DATASET), InboundBody({})))
        ticks = [Sent(INBOUND, partition, b"", value, f"tick{at}", at) for partition in range(INBOUND.partitions)]
        await self._until_acked(ticks)

    async def _until_acked(self, chunk: list[Sent]) -> None:
        while True:
            try:
                async with asyncio.timeout(60):
                    for future in await self._submit(chunk):
                        await future
                break
            except (KafkaError, OSError, TimeoutError):
                self.retried += 1
                await self.stop()
                await asyncio.sleep(0.5)
        for one in chunk:
            if one.is_poison:
                self.poison[one.topic.name, one.partition, one.value] += 1
            else:
                self.acked.setdefault(one.partition, []).append(one.id)

    async def _submit(self, chunk: list[Sent]) -> list[Awaitable[Any]]:
        producer = await self._connected()
        by_place: dict[tuple[str, int], list[Sent]] = {}
        for one in chunk:
            by_place.setdefault((one.topic.name, one.partition), []).append(one)
        futures: list[Awaitable[Any]] = []
        now_ms = time.time_ns() // 1_000_000
        for (topic, partition), group in by_place.items():
            batch = producer.create_batch()
            for one in group:
                headers = [(RECEIVED_AT_HEADER, str(one.received_at).encode())]
                taken = batch.append(timestamp=now_ms, key=one.key, value=one.value, headers=headers)
                assert taken is not None, "a chunk fits into one batch"
            futures.append(await producer.send_batch(batch, topic, partition=partition))
        return futures

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap_servers,
                acks="all",
                enable_idempotence=True,
                max_batch_size=_BATCH_BYTES,
                request_timeout_ms=20_000,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await producer.stop()
