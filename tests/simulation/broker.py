"""Kafka as far as stages see it: partitioned logs with offsets, and producers whose acknowledgements may go astray."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from shared.adapters.kafka import KafkaError, Message
from tests.simulation.loop import WORLD, SimLoop

REQUEST_TIMEOUT_S = 2.0


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A record as a consumer gets it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int

    @property
    def serialized_value_size(self) -> int:
        return len(self.value or b"")


class Broker:
    """All logs. `listeners` are told where something was appended."""

    def __init__(self) -> None:
        self.logs: defaultdict[tuple[str, int], list[Stored]] = defaultdict(list)
        self.starts: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.committed: dict[tuple[str, int], int] = {}
        self.listeners: list[Callable[[str, int], None]] = []

    def append(self, message: Message) -> Stored:
        log = self.logs[message.topic, message.partition]
        headers = tuple(message.headers)
        at = message.timestamp_ms or 0
        stored = Stored(message.topic, message.partition, len(log), message.key, message.value, headers, at)
        log.append(stored)
        for listener in self.listeners:
            listener(message.topic, message.partition)
        return stored

    def end(self, topic: str, partition: int) -> int:
        return len(self.logs[topic, partition])

    def read(self, topic: str, partition: int, offset: int, rows_max: int) -> Sequence[Stored]:
        """Reads on from `offset`; a consumer that asks for what is deleted starts at the log's start."""
        offset = max(offset, self.starts[topic, partition])
        return self.logs[topic, partition][offset : offset + rows_max]


class SimProducer:
    """An idempotent producer: per partition in order, each batch once, or an error for it and all that follow it."""

    def __init__(
        self,
        loop: SimLoop,
        broker: Broker,
        delay_s: Callable[[], float],
        fate: Callable[[int], str | None],
        note: Callable[[str], None],
        batch_rows_max: int,
    ) -> None:
        self._loop = loop
        self._broker = broker
        self._delay_s = delay_s
        self._fate = fate
        self._note = note
        self._batch_rows_max = batch_rows_max
        self._arrivals: dict[tuple[str, int], float] = {}
        self._broken: set[tuple[str, int]] = set()
        self._sequences: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._stored: defaultdict[tuple[str, int], int] = defaultdict(int)

    async def submit(self, messages: Sequence[Message]) -> Sequence[Awaitable[Any]]:
        """Queues batches per partition, in order; between two batches the caller may be interrupted."""
        groups: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in messages:
            groups[message.topic, message.partition].append(message)
        futures: list[Awaitable[Any]] = []
        for place, group in groups.items():
            for first in range(0, len(group), self._batch_rows_max):
                await asyncio.sleep(0)
                futures.append(self._send(place, group[first : first + self._batch_rows_max]))
        return futures

    def _send(self, place: tuple[str, int], batch: Sequence[Message]) -> Awaitable[Any]:
        acknowledged: asyncio.Future[Any] = self._loop.create_future()
        fate = self._fate(1)
        number = self._sequences[place]
        self._sequences[place] += 1
        arrival = max(self._loop.time() + self._delay_s(), self._arrivals.get(place, 0.0) + 1e-6)
        self._arrivals[place] = arrival
        self._at(arrival, self._arrive, place, number, batch, acknowledged, fate)
        if fate == "sent twice":
            self._at(arrival + self._delay_s(), self._arrive, place, number, batch, acknowledged, None)
        return acknowledged

    def _arrive(
        self,
        place: tuple[str, int],
        number: int,
        batch: Sequence[Message],
        acknowledged: "asyncio.Future[Any]",
        fate: str | None,
    ) -> None:
        if number < self._stored[place]:
            self._note("producer's repeat dropped by the broker")
            return
        if fate == "not stored" or place in self._broken:
            self._broken.add(place)
            self._after(REQUEST_TIMEOUT_S, _fail, acknowledged)
            return
        self._stored[place] = number + 1
        stored = [self._broker.append(message) for message in batch]
        if fate == "acknowledgement lost":
            self._broken.add(place)
            self._after(REQUEST_TIMEOUT_S, _fail, acknowledged)
        else:
            delay = REQUEST_TIMEOUT_S / 2 if fate == "acknowledged late" else self._delay_s()
            self._after(delay, _succeed, acknowledged, stored)

    def _after(self, delay_s: float, callback: Callable[..., None], *args: Any) -> None:
        self._loop.call_later(delay_s, callback, *args, context=WORLD)

    def _at(self, moment: float, callback: Callable[..., None], *args: Any) -> None:
        self._loop.call_at(moment, callback, *args, context=WORLD)


def _succeed(acknowledged: "asyncio.Future[Any]", stored: Sequence[Stored]) -> None:
    if not acknowledged.done():
        acknowledged.set_result(stored)


def _fail(acknowledged: "asyncio.Future[Any]") -> None:
    if not acknowledged.done():
        acknowledged.set_exception(KafkaError("no acknowledgement in time"))
