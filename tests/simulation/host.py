"""One life of a worker process: a loop of its own around the real partition workers, quicker than `StageFeed`'s."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.kernel.errors import ExitCode, Fatal
from shared.kernel.retry import Backoff
from shared.runtime.context import Context
from shared.runtime.fence import Fence
from shared.runtime.partition import PartitionWorker
from tests.simulation.broker import SimProducer, Stored
from tests.simulation.loop import Life
from tests.simulation.redis_client import SimRedisClient

if TYPE_CHECKING:
    from tests.simulation.world import World

NAMESPACE = "sim"
_REGULARLY_S = 1.6
_POLL_S = 0.4
_REVOKE_LIMIT_S = 3.0


class Process(Life):
    """A process that owns some partitions. `crashed`: the error that ends it."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(name)
        self.world = world
        self.crashed: BaseException | None = None
        self.distortion: tuple[str, float] | None = None
        self.rebalancing = asyncio.Lock()
        self._claims = 0
        self.producer: Any = SimProducer(
            world.loop, world.broker, world.delay_s, world.send_fate, world.note, world.plan.batch_rows
        )

    @property
    def workers(self) -> Mapping[int, PartitionWorker[Any, Any]]:
        """The partitions it serves."""
        raise NotImplementedError

    def start(self) -> None:
        """Begins to run."""
        raise NotImplementedError

    def appended(self, topic: str, partition: int) -> None:
        """The broker has got a record."""
        raise NotImplementedError

    async def assigned(self, partition: int) -> None:
        """The group gives it a partition."""
        raise NotImplementedError

    async def revoked(self, partition: int) -> None:
        """The group takes a partition back."""
        raise NotImplementedError

    async def stop(self) -> None:
        """The orderly end after a crash of one component: every partition is given up."""
        raise NotImplementedError

    def fence(self, partition: int) -> Fence:
        """A fence with a token that tells this process, and which of its claims it is."""
        self._claims += 1
        token = f"{self.name}/{self._claims}"
        redis: Any = SimRedisClient(self.world.network, self.world.redis, token)
        random = self.world.random
        return Fence(redis, NAMESPACE, self.world.stage.name, partition, token, Backoff(), random)

    async def guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            await self.crash(error)

    async def crash(self, error: BaseException) -> None:
        """Takes note of what ends this process; it lives on for a moment, as the real one does."""
        if self.crashed is None and not self.dead:
            self.crashed = error
            self.world.exited(self, error)


class Host(Process):
    """A process with a loop of its own around the workers, which takes less time than the feed's."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        self._workers: dict[int, PartitionWorker[Any, Any]] = {}
        self.positions: dict[int, int] = {}
        self.wake = asyncio.Event()
        wall = world.clock if world.plan.wall else None
        self._context: Context[Any, Any] = Context(
            stage=world.stage,
            producer=self.producer,
            metrics=world.metrics,
            limits=world.plan.limits,
            prefix="",
            group="sim",
            wall=wall,
        )

    @property
    def workers(self) -> Mapping[int, PartitionWorker[Any, Any]]:
        return self._workers

    def start(self) -> None:
        self.world.broker.listeners.append(self.appended)
        self.world.loop.spawn(self, self.guarded(self._poll))
        self.world.loop.spawn(self, self.guarded(self._regularly))

    def appended(self, topic: str, partition: int) -> None:
        """The broker answers the fetch that was waiting."""
        if topic == self.world.stage.source.name and partition in self.positions:
            self.wake.set()

    async def assigned(self, partition: int) -> None:
        """Claims a partition and starts its worker, as the feed does. Rebalances come one after the other."""
        async with self.rebalancing:
            await self._give_up(partition)  # it may hold it still, not knowing that it was taken away meanwhile
            await self._claim(partition)

    async def _claim(self, partition: int) -> None:
        world, topic = self.world, self.world.stage.source.name
        try:
            worker: PartitionWorker[Any, Any] = PartitionWorker(self._context, partition, self.fence(partition))
            await worker.claim(world.broker.starts[topic, partition])
        except Exception as error:
            await self.crash(error)
            return
        position = worker.position()
        if position < 0:
            position = world.broker.committed.get((topic, partition), world.broker.starts[topic, partition])
        world.claimed(partition, position)
        self._workers[partition], self.positions[partition] = worker, position
        worker.read_up(0)
        worker.start(self.crash)
        self.wake.set()

    async def revoked(self, partition: int) -> None:
        """Gives a partition up: finishes or abandons what is under way, then commits."""
        async with self.rebalancing:
            if self.crashed is not None or self.world.owners[partition] is not self:  # else it was given back since
                await self._give_up(partition)

    async def _give_up(self, partition: int) -> None:
        worker = self._workers.pop(partition, None)
        self.positions.pop(partition, None)
        if worker is None:
            return
        if worker.position() - 1 > worker.applied_offset:
            self.world.note("batch split by rebalance")
        try:
            await worker.stop(_REVOKE_LIMIT_S)
        except Exception as error:
            await self.crash(error)
            return
        self._commit(partition, worker)

    async def stop(self) -> None:
        await asyncio.gather(*(self.revoked(partition) for partition in list(self.workers)))

    async def _poll(self) -> None:
        topic = self.world.stage.source.name
        while True:
            self.wake.clear()
            moved = False
            began = self.world.clock.now()
            for partition in list(self.positions):
                worker = self.workers.get(partition)
                if worker is None:
                    continue
                records = self._fetched(topic, partition)
                if not records and worker.handed_offset + 1 >= self.world.broker.end(topic, partition):
                    worker.read_up(began)
                if records:
                    moved = True
                    before = self.world.loop.steps
                    await worker.put(records)
                    if self.world.loop.steps > before:
                        self.world.note("back-pressure hit")
            if moved:
                await asyncio.sleep(self.world.delay_s())
            elif self.world.plan.wall:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await self.wake.wait()
            else:
                await self.wake.wait()

    def _fetched(self, topic: str, partition: int) -> Sequence[Stored]:
        """Reads on; a distortion makes the consumer skip a record or deliver some again."""
        broker, rows_max = self.world.broker, self.world.plan.fetch_rows
        records = list(broker.read(topic, partition, self.positions[partition], rows_max))
        if not records:
            return ()
        self.positions[partition] = records[-1].offset + 1
        if self.distortion is not None:
            kind, dice = self.distortion
            if kind == "skip" and records[-1].offset + 1 < broker.end(topic, partition):
                del records[int(dice * len(records))]
                self.distortion = None
                if not records:
                    return self._fetched(topic, partition)
            elif kind == "redeliver" and records[-1].offset > broker.starts[topic, partition]:
                # Some of what was just read once more, at once or with the next fetch.
                self.positions[partition] = int(dice * (records[-1].offset + 1))
                if dice < 0.5:
                    records += broker.read(topic, partition, self.positions[partition], rows_max)
                    self.positions[partition] = records[-1].offset + 1
                self.distortion = None
                self.world.note("records delivered again")
        return records

    async def _regularly(self) -> None:
        while True:
            await asyncio.sleep(_REGULARLY_S)
            for partition, worker in list(self.workers.items()):
                self._commit(partition, worker)
                await worker.verify()
                self._watch(partition, worker)

    def _watch(self, partition: int, worker: PartitionWorker[Any, Any]) -> None:
        """The feed's watchdog: records wait, and the consumer will never deliver them because they are deleted."""
        topic, broker = self.world.stage.source.name, self.world.broker
        deleted = worker.position() < broker.starts[topic, partition]
        if deleted and worker.applied_offset + 1 < broker.end(topic, partition):
            raise Fatal(f"partition {partition} has records waiting and made no progress", ExitCode.STALLED)

    def _commit(self, partition: int, worker: PartitionWorker[Any, Any]) -> None:
        if worker.applied_offset >= 0:
            self.world.broker.committed[self.world.stage.source.name, partition] = worker.applied_offset + 1


def exit_word(error: BaseException) -> str:
    """What a process's end is called: a documented exit, trouble with the broker, or something unforeseen."""
    if isinstance(error, Fatal):
        words = {
            ExitCode.FENCED: "fenced",
            ExitCode.GAP: "gap",
            ExitCode.LOG_TRUNCATED: "log truncated",
            ExitCode.STALLED: "stalled",
        }
        return words.get(error.exit_code, f"exit {error.exit_code}")
    return type(error).__name__
