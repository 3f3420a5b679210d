"""One life of a worker process that runs the real `StageFeed` over a simulated consumer."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import Context
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from prometheus_client import CollectorRegistry

from shared.kernel.clock import Micros
from shared.runtime.feed import StageFeed
from shared.runtime.fence import Fence
from shared.runtime.metrics import StageMetrics
from shared.runtime.partition import PartitionWorker
from tests.simulation.consumer import SimConsumer
from tests.simulation.host import NAMESPACE, Process
from tests.simulation.loop import LIFE
from tests.simulation.silence import SILENCE

if TYPE_CHECKING:
    from tests.simulation.world import World

METRICS = StageMetrics("simulation", CollectorRegistry())
_FEED = "shared.runtime.feed."


class _Feed(StageFeed[Any, Any]):
    """The feed itself; the process learns of its end at once, and tokens tell who owns a partition."""

    def __init__(self, host: "FeedHost") -> None:
        clock = "wall" if host.world.plan.wall else "stream"
        settings = SimpleNamespace(
            topic_prefix="",
            clock=clock,
            redis_namespace=NAMESPACE,
            kafka_access=None,
            kafka_session_timeout_ms=6_000,
            kafka_group_instance_id="",
        )
        redis: Any = SILENCE  # its fences have their own client each
        super().__init__(host.world.stage, settings, host.producer, METRICS, redis, host.world.plan.limits)
        self._host = host

    def _fence(self, partition: int) -> Fence:
        return self._host.fence(partition)

    def _get_tasks(self) -> list[Any]:
        # mode keeps them in a set of names: their order would be another in each process.
        return sorted(super()._get_tasks(), key=lambda task: str(task.fun.__name__))

    async def crash(self, reason: BaseException) -> None:
        self._crash(reason)
        await self._host.crash(reason)


_Feed.log = SILENCE


class FeedHost(Process):
    """A process around a feed. The group takes all its partitions with each rebalance, then gives it those it keeps."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        self.context = Context()
        self.context.run(LIFE.set, self)
        self._ready = asyncio.Event()
        self._feed: _Feed | None = None
        self.consumer = SimConsumer(self)

    @property
    def workers(self) -> Mapping[int, PartitionWorker[Any, Any]]:
        return {} if self._feed is None else self._feed._workers

    def start(self) -> None:
        self.world.broker.listeners.append(self.appended)
        self.world.loop.spawn(self, self.guarded(self._run))

    def appended(self, topic: str, partition: int) -> None:
        self.consumer.appended(topic, partition)

    async def _run(self) -> None:
        self._feed = _Feed(self)
        await self._feed.start()
        self._ready.set()

    async def assigned(self, partition: int) -> None:
        """A rebalance that gives this process one more partition."""
        await self._ready.wait()
        async with self.rebalancing:
            await self._rebalance({tp.partition for tp in self.consumer.assignment()} | {partition})

    async def revoked(self, partition: int) -> None:
        """A rebalance that takes a partition from this process."""
        async with self.rebalancing:
            held = {tp.partition for tp in self.consumer.assignment()}
            if partition in held and (self.crashed is not None or self.world.owners[partition] is not self):
                await self._rebalance(held - {partition})

    async def _rebalance(self, partitions: set[int]) -> None:
        for partition in partitions - {p for p, owner in self.world.owners.items() if owner is self}:
            partitions = partitions - {partition}
        for worker in self.workers.values():
            if worker.position() - 1 > worker.applied_offset:
                self.world.note("batch split by rebalance")
        await self.consumer.rebalance(sorted(partitions))

    async def stop(self) -> None:
        """The orderly end after a crash of one component."""
        if self._feed is not None:
            await self._feed.stop()


@contextmanager
def seams() -> Iterator[None]:
    """Gives feeds the consumer, the clocks and the silence of the simulated process that they run in."""
    time = SimpleNamespace(monotonic=_loop_time, perf_counter=_loop_time, time=_loop_time)
    with ExitStack() as stack:
        stack.enter_context(mock.patch(_FEED + "stage_consumer", _consumer))
        stack.enter_context(mock.patch(_FEED + "WallClock", _Wall))
        for name in ("get_logger", "faulthandler"):
            stack.enter_context(mock.patch(_FEED + name, SILENCE))
        for module in ("feed", "partition", "settler"):
            stack.enter_context(mock.patch(f"shared.runtime.{module}.time", time))
        yield


class _Wall:
    """The wall clock of the process that asks."""

    def now(self) -> Micros:
        return _process().world.clock.now()


def _process() -> FeedHost:
    life = LIFE.get()
    assert isinstance(life, FeedHost)
    return life


def _consumer(*_: Any) -> SimConsumer:
    return _process().consumer


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
