"""Records that wait for one partition's step: bounded by their number and their bytes, taken in large pieces.

A full inbox holds up nobody but its own partition: the feed leaves out partitions whose inbox is full when it polls,
so that their records stay in Kafka, and asks again when half of it is free.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from shared.adapters.kafka import ConsumerRecord

_RECORD_BYTES = 500
"""What a record takes beside its value: the objects around it."""


class Inbox:
    """A queue between the feed and one partition's step. The last piece put may exceed the bounds."""

    def __init__(self, rows_max: int, bytes_max: int) -> None:
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._pieces: deque[tuple[Sequence[ConsumerRecord], int]] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._closed = False
        self.rows = 0
        self.bytes = 0

    @property
    def is_full(self) -> bool:
        return self.rows >= self._rows_max or self.bytes >= self._bytes_max

    @property
    def has_room(self) -> bool:
        """Half free: filling and emptying then alternate in large steps."""
        return 2 * self.rows <= self._rows_max and 2 * self.bytes <= self._bytes_max

    async def put(self, records: Sequence[ConsumerRecord]) -> None:
        """Adds records; waits while the inbox is full."""
        while self.is_full and not self._closed:
            self._emptied.clear()
            await self._emptied.wait()
        size = sum([record.serialized_value_size for record in records]) + _RECORD_BYTES * len(records)
        self._pieces.append((records, size))
        self.rows += len(records)
        self.bytes += size
        self._filled.set()

    async def take(self, rows_max: int, bytes_max: int, wait_s: float | None) -> Sequence[ConsumerRecord]:
        """Waits for records and returns all that wait, up to the limits; nothing when `wait_s` passes first.

        Batches so follow the load: small when quiet, for latency; large when behind, because the price of a batch
        (acknowledgement, script) does not depend on its size.
        """
        if not self._pieces:
            self._filled.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._filled.wait()
            except TimeoutError:
                return ()
        taken, size = self._pieces.popleft()
        if self._pieces and len(taken) < rows_max and size < bytes_max:
            taken = list(taken)
            while self._pieces and len(taken) < rows_max and size < bytes_max:
                records, more = self._pieces.popleft()
                taken += records
                size += more
        self.rows -= len(taken)
        self.bytes -= size
        self._emptied.set()
        return taken

    def close(self) -> None:
        """Lets go whoever waits to put records: they will be read again."""
        self._closed = True
        self._emptied.set()
