"""Replaying the log into another namespace with the real stage and the real partition worker, outputs suppressed.

Beside a live namespace two rules keep "no output lost" true, because what is replayed here is never sent:

    records     only those that the live fence has passed (their outputs are durable)
    deadlines   only those that the live side has fired: its own deadline for the profile is later, or gone

The fence of the new namespace makes a rebuild stoppable anywhere: it goes on from there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from uuid import uuid4

from prometheus_client import CollectorRegistry

from shared.adapters.kafka import Message, Producer
from shared.adapters.kafka_access import KafkaAccess
from shared.adapters.kafka_log import Extent, LogReader, open_log
from shared.adapters.redis import RedisClient
from shared.contracts import redis_keys
from shared.kernel.clock import WallClock
from shared.kernel.errors import ExitCode, Fatal
from shared.kernel.retry import Backoff
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.context import Context, Limits
from shared.runtime.fence import Fence, Position
from shared.runtime.metrics import StageMetrics
from shared.runtime.partition import PartitionWorker
from shared.runtime.stage import Batch, Due, Effects, Stage

Report = Callable[[int, int], None]
"""Called with the records applied and the records to apply in all."""

_POLL_S = 0.02
_STOP_LIMIT_S = 10.0


class _SilentProducer(Producer):
    """Takes dead letters and acknowledges them: the live side has sent them already."""

    async def submit(self, messages: Sequence[Message]) -> Sequence[Awaitable[Any]]:
        return ()


class AlignedFence(Fence):
    """Fires only deadlines that the live namespace has fired; without one, all that are due.

    `exhausted` is set while the last look found none to fire.
    """

    def __init__(self, *arguments: Any, live: str | None) -> None:
        super().__init__(*arguments)
        self._live = live
        self.exhausted = asyncio.Event()

    async def claim(self) -> Position:
        """Takes this very namespace, also one that another took over from: switching back goes that way."""
        offset, clock, _, commits = await self._patiently(self._take)
        self._commits = int(commits)
        return Position(int(offset), int(clock))

    async def due(
        self, until: int, limit: int, decided: Mapping[str, int | None] | None = None
    ) -> tuple[list[Due], int | None]:
        if decided:  # pages of Redis are compared with the live side's, so everything must be in Redis first
            self.exhausted.clear()
            return [], until
        start = 0
        while True:
            ready, following = await self._page(start, until, limit)
            fired = await self._fired(ready)
            if fired or following is None or following > until:
                (self.exhausted.clear if fired else self.exhausted.set)()
                # After firing look again at once: only a look that finds nothing tells that all is done.
                return fired, until if fired else following
            start += len(ready)

    async def _page(self, start: int, until: int, limit: int) -> tuple[list[Due], int | None]:
        name = redis_keys.deadlines(*self._where)
        rows = await self._patiently(lambda: self._client.zrange(name, start, start + limit, withscores=True))
        entries = [(key.decode(), int(score)) for key, score in rows]
        ready = [Due(key, at) for key, at in entries[:limit] if at <= until]  # type: ignore[arg-type]
        rest = entries[len(ready) :]
        return ready, rest[0][1] if rest else None

    async def _fired(self, ready: Sequence[Due]) -> list[Due]:
        if self._live is None or not ready:
            return list(ready)
        _, stage, partition = self._where
        name = redis_keys.deadlines(self._live, stage, partition)
        scores = await self._patiently(lambda: self._client.zmscore(name, [due.key for due in ready]))
        return [due for due, score in zip(ready, scores, strict=True) if score is None or int(score) > due.at]


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Replays into `space`. `live`: the namespace that workers run on, None when there is none."""

    stage: Stage[Any, Any]
    kafka: str | KafkaAccess
    prefix: str
    redis: RedisClient
    space: Keyspace
    live: str | None

    async def catch_up(self, report: Report = lambda *_: None) -> int:
        """Applies everything up to where the live fence stands now (or the log ends); returns how many records."""
        if self.space.namespace == self.live:
            raise Fatal(f"workers run on {self.live!r} itself: name another namespace to rebuild into")
        async with open_log(self.kafka, "freshet-rebuild", 4 * 1024 * 1024) as log:
            wholes = await log.extents(self.prefix + self.stage.source.name, range(self.space.partitions))
            ends = await self._ends(wholes)
            starts = {fence.partition: fence.offset + 1 for fence in await self.space.fences()}
            total = sum(max(0, ends[p] - start) for p, start in starts.items())
            done = 0
            for whole in wholes:
                before = done

                def progressed(rows: int, before: int = before) -> None:
                    report(before + rows, total)

                done += await self._partition(log, whole, ends[whole.partition], progressed)
        report(done, total)
        return done

    async def align(self, partition: int) -> None:
        """Fires what the live side has fired by its clock since its last record. Call it with all records applied."""
        async with _Worker(self, partition, on_wall_clock=True) as worker:
            await worker.until(worker.fence.exhausted.is_set)

    async def _ends(self, wholes: Sequence[Extent]) -> Mapping[int, int]:
        if self.live is None:
            return {whole.partition: whole.end for whole in wholes}
        live = await Keyspace(self.space.client, self.live, self.stage.name, self.space.partitions).fences()
        return {whole.partition: min(whole.end, live[whole.partition].offset + 1) for whole in wholes}

    async def _partition(self, log: LogReader, whole: Extent, end: int, progressed: Callable[[int], None]) -> int:
        async with _Worker(self, whole.partition, on_wall_clock=False, log_start=whole.start, end=end) as worker:
            start = worker.partition.position()
            if start >= end:
                return 0
            topic = self.prefix + self.stage.source.name
            async with aclosing(log.read(topic, Extent(whole.partition, start, end))) as batches:
                async for records in batches:
                    await worker.put(records)
                    progressed(max(0, worker.partition.applied_offset + 1 - start))
            await worker.until(lambda: worker.partition.applied_offset >= end - 1)
            return end - start


class _Worker:
    """One partition's worker for the block; what crashes it is raised in the block."""

    def __init__(
        self, rebuild: Rebuild, partition: int, *, on_wall_clock: bool, log_start: int = 0, end: int = 0
    ) -> None:
        stage = replace(rebuild.stage, step=_silent(rebuild.stage), gate=lambda: True, interlude=None)
        self._log_start = log_start
        self._end = end
        self._key = redis_keys.fence(rebuild.space.namespace, stage.name, partition)
        self._client = rebuild.space.client
        self._crash: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        wall = WallClock() if on_wall_clock else None
        metrics = StageMetrics(stage.name, CollectorRegistry())
        producer = _SilentProducer(rebuild.kafka)
        limits = Limits(deadline_grace_us=0)
        context = Context(stage, producer, metrics, limits, rebuild.prefix, "freshet-rebuild", wall)
        where = (rebuild.redis, rebuild.space.namespace, stage.name, partition)
        self.fence = AlignedFence(*where, uuid4().hex, Backoff(), Random(), live=rebuild.live)  # noqa: S311 - spreads retries
        self.partition: PartitionWorker[Any, Any] = PartitionWorker(context, partition, self.fence)
        self._stage = stage.name

    async def __aenter__(self) -> "_Worker":
        await self.partition.claim(self._log_start)
        if self.partition.position() < self._end:
            await self._client.hset(self._key, "silent", "1")
        self.partition.start(self._crashed)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.partition.stop(_STOP_LIMIT_S)
        if self._crash.done():
            self._crash.exception()  # raised in the block, or overtaken by what ended it

    async def put(self, records: Sequence[Any]) -> None:
        putting = asyncio.ensure_future(self.partition.put(records))
        await asyncio.wait({putting, self._crash}, return_when=asyncio.FIRST_COMPLETED)
        self._raise_crash()
        await putting

    async def until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._raise_crash()
            await asyncio.sleep(_POLL_S)

    async def _crashed(self, error: BaseException) -> None:
        if not self._crash.done():
            self._crash.set_exception(error)

    def _raise_crash(self) -> None:
        if not self._crash.done():
            return
        error = self._crash.exception()
        if isinstance(error, Fatal) and error.exit_code == ExitCode.FENCED:
            raise Fatal(
                f"another rebuild or a worker took {self._stage} over: one at a time", ExitCode.FENCED
            ) from error
        assert error is not None
        raise error


def _silent(stage: Stage[Any, Any]) -> Callable[[Batch[Any, Any]], Effects[Any]]:
    """Returns the stage's step without its outputs, so that they are not even encoded."""

    def step(batch: Batch[Any, Any]) -> Effects[Any]:
        effects = stage.step(batch)
        effects.outputs.clear()
        return effects

    return step
