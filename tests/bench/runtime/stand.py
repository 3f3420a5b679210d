"""What the measurements stand on: topics, worker processes, how far they are, and the CPU time that each has used."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from redis import asyncio as redis

from deploy.local import topics
from shared.contracts import redis_keys
from shared.contracts.topics import KEYED_PARTITIONS, physical_topics
from tests.bench.runtime.worker import Spec
from tests.support.platform import EmbeddedPlatform

_LOOK_S = 0.02
_LIMIT_S = 180.0
_REBALANCE_S = 4.0
"""A second worker joins some moments after the first, which had all partitions until then."""


@dataclass(frozen=True)
class Progress:
    """Events applied so far (fences in Redis), when that was seen (monotonic s), CPU s used by each process."""

    applied: int
    at_s: float
    cpu_s: dict[str, float]


class Stand:
    """A platform and the worker processes of one measurement."""

    def __init__(self, platform: EmbeddedPlatform) -> None:
        self.platform = platform
        self.redis = redis.Redis.from_url(platform.redis_url)
        self.workers: list[subprocess.Popen[bytes]] = []
        self._others = {name: psutil.Process(platform.pid(name)) for name in ("kafka", "redis")}

    async def make_topics(self, prefix: str) -> None:
        await topics.create(self.platform.kafka_bootstrap_servers, physical_topics(prefix))

    def spec(self, kind: str, prefix: str, namespace: str, **more: str) -> Spec:
        return Spec(kind, self.platform.kafka_bootstrap_servers, self.platform.redis_url, prefix, namespace, **more)

    @contextlib.contextmanager
    def running(self, spec: Spec, count: int = 1) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
        """Runs `count` workers for the block; only the first is profiled."""
        self.workers = [start(spec if number == 0 else replace(spec, profile="")) for number in range(count)]
        try:
            yield self.workers
        finally:
            for process in self.workers:
                end(process)

    async def progress(self, spec: Spec, cpu: bool = True) -> Progress:
        names = [redis_keys.fence(spec.namespace, spec.kind, number) for number in range(KEYED_PARTITIONS)]
        async with self.redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hget(name, "offset")
            found: list[Any] = await pipeline.execute()
        applied = sum(int(offset) + 1 for offset in found if offset is not None)
        return Progress(applied, time.monotonic(), self._cpu() if cpu else {})

    async def claimed(self, spec: Spec) -> Progress:
        """Waits until workers own all partitions; nothing has been read yet where a gate is closed."""
        names = [redis_keys.fence(spec.namespace, spec.kind, number) for number in range(KEYED_PARTITIONS)]
        limit = time.monotonic() + _LIMIT_S
        while not all([await self.redis.hexists(name, "owner") for name in names]):
            if time.monotonic() > limit or any(process.poll() is not None for process in self.workers):
                raise RuntimeError(f"{spec.kind}: the partitions were not claimed within {_LIMIT_S:g} s")
            await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(_REBALANCE_S)
        return await self.progress(spec)

    async def until(self, spec: Spec, applied: int, limit_s: float = _LIMIT_S) -> Progress:
        """Waits until so many events are applied. Raises RuntimeError after the limit, or when a worker has ended."""
        limit = time.monotonic() + limit_s
        while (found := await self.progress(spec, cpu=False)).applied < applied:
            ended = [process.poll() for process in self.workers]
            if time.monotonic() > limit or any(code not in (None, -signal.SIGKILL) for code in ended):
                raise RuntimeError(f"{spec.kind}: {found.applied} of {applied} events applied, workers ended: {ended}")
            await asyncio.sleep(_LOOK_S)
        return replace(found, cpu_s=self._cpu())

    def _cpu(self) -> dict[str, float]:
        processes = dict(self._others)
        processes |= {f"worker {n}": psutil.Process(p.pid) for n, p in enumerate(self.workers) if p.poll() is None}
        processes["this process"] = psutil.Process()
        return {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}

    async def close(self) -> None:
        await self.redis.aclose()


def start(spec: Spec) -> subprocess.Popen[bytes]:
    """Starts one worker process."""
    command = [sys.executable, "-m", "tests.bench.runtime.worker", json.dumps(asdict(spec))]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], env=dict(os.environ))


def end(process: subprocess.Popen[bytes]) -> None:
    """Stops a worker: SIGTERM, then SIGKILL."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_us(before: Progress, after: Progress, events: int) -> dict[str, float]:
    """CPU microseconds per event, by process."""
    return {
        name: round((spent - before.cpu_s[name]) * 1e6 / max(1, events), 1)
        for name, spent in after.cpu_s.items()
        if name in before.cpu_s
    }


def cpu_percent(before: Progress, after: Progress) -> dict[str, float]:
    """CPU time as per cent of one core, by process."""
    seconds = after.at_s - before.at_s
    spent = {name: used - before.cpu_s[name] for name, used in after.cpu_s.items() if name in before.cpu_s}
    return {name: round(100 * used / seconds, 1) for name, used in spent.items()}


@contextlib.asynccontextmanager
async def standing(platform: EmbeddedPlatform) -> AsyncIterator[Stand]:
    stand = Stand(platform)
    try:
        yield stand
    finally:
        await stand.close()
