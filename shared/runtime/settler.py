"""The second half of a partition's work: wait for acknowledgements, then apply through the fence, in order."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shared.runtime.context import Context
from shared.runtime.fence import NO_OFFSET, Commit, Fence
from shared.runtime.state import StateCache

V = TypeVar("V")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A stepped batch whose outputs are on their way. `commit` is None for stateless stages.

    `keys` are pinned in the cache until the batch has settled. `newest_ms`: Kafka time of its newest record, or 0.
    """

    acknowledgements: Sequence[Awaitable[Any]]
    commit: Commit | None
    keys: tuple[str, ...]
    offset: int
    rows: int
    newest_ms: int
    stepped_at: float


class Settler(Generic[V, S]):
    """A bounded queue of stepped batches, settled one after the other."""

    def __init__(self, context: Context[V, S], partition: int, fence: Fence | None, cache: StateCache[S]) -> None:
        self._metrics = context.metrics
        self._partition = str(partition)
        self._fence = fence
        self._cache = cache
        self._queue: asyncio.Queue[Unsettled] = asyncio.Queue(context.limits.batches_unsettled_max)
        self._under_way: deque[Unsettled] = deque()
        self._handed = self._settled = 0
        self.applied_offset = NO_OFFSET
        self.progressed_at = time.monotonic()

    async def put(self, batch: Unsettled) -> None:
        """Queues a batch; waits while as many as allowed are unsettled (back-pressure)."""
        self._handed += 1
        if self._queue.full():
            self._metrics.limit_reached.labels("unsettled").inc()
        await self._queue.put(batch)
        self._under_way.append(batch)

    def decided_deadlines(self) -> dict[str, int | None]:
        """What batches that Redis may lack still have decided, the last decision of each key. None: no deadline."""
        decided: dict[str, int | None] = {}
        for batch in self._under_way:
            if batch.commit is not None:
                decided |= batch.commit.deadlines
        return decided

    async def drained(self) -> None:
        """Returns once everything queued so far has settled: Redis then knows all that has been decided."""
        await self._queue.join()

    async def verify(self) -> None:
        """Raises Fatal when Redis came back older (or another worker took over) while there was nothing to settle.

        Batches under way notice by themselves; without this a quiet partition would stay behind until its next record.
        """
        handed = self._handed
        if self._fence is None or handed > self._settled:
            return
        error = await self._fence.strayed()
        if error is not None and handed == self._handed:
            raise error

    async def run(self) -> None:
        """Settles for ever. Raises Fatal when the fence refuses, and what the producer raises."""
        while True:
            batch = await self._queue.get()
            for acknowledgement in batch.acknowledgements:
                await acknowledgement
            if batch.commit is not None and self._fence is not None:
                await self._fence.apply(batch.commit)
            self._cache.unpin(batch.keys)
            if dropped := self._cache.trim():
                self._metrics.limit_reached.labels("states").inc(dropped)
            self.applied_offset = batch.offset
            self.progressed_at = time.monotonic()
            self._observe(batch)
            self._under_way.popleft()
            self._settled += 1
            self._queue.task_done()

    def _observe(self, batch: Unsettled) -> None:
        self._metrics.settle.observe(time.perf_counter() - batch.stepped_at)
        self._metrics.records.inc(batch.rows)
        self._metrics.applied_offset.labels(self._partition).set(batch.offset)
        if batch.newest_ms:
            self._metrics.event_time_lag.set(max(0.0, time.time() - batch.newest_ms / 1000))
