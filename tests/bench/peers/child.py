"""A peer's process: started, watched, ended; how many events it has finished and what CPU time it has used."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from redis import asyncio as redis

from shared.contracts import redis_keys
from shared.contracts.topics import KEYED_PARTITIONS
from tests.bench.peers.peers import Peer, Run
from tests.bench.runtime.stages import AGGREGATE
from tests.support.platform import EmbeddedPlatform

_ROOT = Path(__file__).parents[3]
_LOOK_S = 0.03
_STOP_LIMIT_S = 25.0


@dataclass(frozen=True)
class Seen:
    """Events finished, when that was seen (monotonic s), and CPU s the process had used by then, all its threads."""

    done: int
    at_s: float
    cpu_s: float


class Child:
    """One running peer."""

    def __init__(self, peer: Peer, run: Run, platform: EmbeddedPlatform) -> None:
        self.peer = peer
        self.run = run
        self._platform = platform
        self._process: subprocess.Popen[str] | None = None
        self._said: Path = run.folder / "said"
        self._redis = redis.Redis.from_url(platform.redis_url)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=platform.kafka_bootstrap_servers)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=platform.kafka_bootstrap_servers)
        self._outputs_before = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, peer: Peer, run: Run, platform: EmbeddedPlatform) -> AsyncIterator["Child"]:
        """Runs the peer for the block; it is asked to stop, then killed."""
        child = cls(peer, run, platform)
        await child._consumer.start()
        await child._admin.start()
        child._outputs_before = await child._outputs()
        try:
            child._start()
            yield child
        finally:
            await asyncio.to_thread(child.stop)
            await child._consumer.stop()
            await child._admin.close()
            await child._redis.aclose()

    def _start(self) -> None:
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                list(self.peer.command(self.run)), cwd=_ROOT, stdout=said, stderr=sys.stderr, text=True
            )

    def stop(self) -> None:
        """Ends the process and waits for what it does at its end (flush, last commit)."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def until(self, done: int, limit_s: float) -> Seen:
        """Waits until so many events are finished. Raises RuntimeError when they are not within `limit_s`."""
        end = time.monotonic() + limit_s
        while (found := await self._done()) < done:
            assert self._process is not None
            if time.monotonic() > end or self._process.poll() is not None:
                code = self._process.poll()
                raise RuntimeError(f"{self.peer.name}: {found} of {done} events in {limit_s:g} s, exit code {code}")
            await asyncio.sleep(_LOOK_S)
        return self.seen(found)

    def seen(self, done: int) -> Seen:
        assert self._process is not None
        times = psutil.Process(self._process.pid).cpu_times()
        return Seen(done, time.monotonic(), float(times.user + times.system))

    async def outputs(self) -> int:
        """Records in the output topic since the start; a transaction's marker counts as one."""
        return await self._outputs() - self._outputs_before

    async def _done(self) -> int:
        match self.peer.progress:
            case "fences":
                return await self._fenced()
            case "outputs":
                return await self.outputs()
            case "committed":
                return await self._committed()
            case "reported":
                lines = self._said.read_text().split("\n")
                numbers = [line.partition(" ")[2] for line in lines[-3:-1] if line.startswith("processed ")]
                return int(numbers[-1]) if numbers else 0

    async def _outputs(self) -> int:
        partitions = [TopicPartition(self.run.target, number) for number in range(KEYED_PARTITIONS)]
        return sum((await self._consumer.end_offsets(partitions)).values())

    async def _fenced(self) -> int:
        names = [redis_keys.fence(self.run.name, AGGREGATE, number) for number in range(KEYED_PARTITIONS)]
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hget(name, "offset")
            found: list[Any] = await pipeline.execute()
        return sum(int(offset) + 1 for offset in found if offset is not None)

    async def _committed(self) -> int:
        try:
            found = await self._admin.list_consumer_group_offsets(self.run.name)
        except KafkaError:  # the group does not exist yet
            return 0
        return sum(max(0, held.offset) for tp, held in found.items() if tp.topic == self.run.source)
