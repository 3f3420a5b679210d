"""What goes wrong, each fault a function that returns when it is over; the pipeline then has to recover by itself."""

import asyncio
import contextlib
import resource
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import redis

from tests.chaos.crew import SESSION_MS, Crew
from tests.chaos.watch import STAGES, Stage, Watch

THIRD = "segmentation-3"
_PAUSE_S = 1.4 * SESSION_MS / 1000
_TAIL_BYTES_MAX = 96 * 1024
_FULL_S, _LATENCY_S, _STALL_S = 3.0, 3.0, 11.0
"""Longer than the ten seconds after which Redis' client gives a call up."""

_STUCK_S = 5.0
_SLACK_BYTES = 4_096


@dataclass
class Scene:
    """What a fault may touch. `notes` counts what must have happened somewhere in a run for it to mean anything."""

    crew: Crew
    watch: Watch
    random: Random
    third_port: int
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, what: str, count: int = 1) -> None:
        self.notes[what] = self.notes.get(what, 0) + count


Fault = Callable[[Scene], Awaitable[None]]


def kill(*groups: Sequence[str]) -> Fault:
    """SIGKILL to one of each group, at the same moment."""

    async def fault(scene: Scene) -> None:
        for names in groups:
            scene.crew.hit(scene.random.choice(names), signal.SIGKILL)

    return fault


def pause(*groups: Sequence[str]) -> Fault:
    """SIGSTOP beyond the session time-out, then SIGCONT: what it still holds in its hands must not count twice."""

    async def fault(scene: Scene) -> None:
        chosen = [scene.random.choice(names) for names in groups]
        for name in chosen:
            scene.crew.hit(name, signal.SIGSTOP)
        await asyncio.sleep(_PAUSE_S)
        for name in chosen:
            scene.crew.hit(name, signal.SIGCONT)

    return fault


def redis_down(cut: bool = False, wipe: bool = False) -> Fault:
    """SIGKILL to Redis; before it starts again its log loses a tail, as after a power cut, or everything."""

    async def fault(scene: Scene) -> None:
        before = await _fences(scene)
        await scene.crew.gone("redis", signal.SIGKILL)
        if wipe:
            shutil.rmtree(scene.crew.layout.redis)
            scene.crew.layout.redis.mkdir()
        if cut:
            _cut_tail(scene)
        scene.crew.back("redis")
        await scene.crew.answering("redis")
        after = await _fences(scene)
        rolled_back = sum(max(0, before[place] - after[place]) for place in before)
        scene.note("redis came back older", rolled_back > 0)
        scene.note("records rolled back", rolled_back)

    return fault


async def _fences(scene: Scene) -> dict[tuple[Stage, int], int]:
    found: dict[tuple[Stage, int], int] = {}
    for stage in (stage for stage in STAGES if stage.fenced):
        while True:
            with contextlib.suppress(redis.RedisError):
                fences = await asyncio.to_thread(scene.watch.fences, stage)
                break
            await asyncio.sleep(0.05)
        found |= {(stage, partition): offset for partition, offset in fences.items()}
    return found


def _cut_tail(scene: Scene) -> None:
    """Cuts the newest append-only file at a random byte: mostly inside a command, at times inside a transaction."""
    files = [*scene.crew.layout.redis.glob("appendonly.aof"), *scene.crew.layout.redis.glob("appendonlydir/*.incr.aof")]
    file = max(files, key=lambda path: (path.stat().st_mtime_ns, path.name))
    size = file.stat().st_size
    cut = scene.random.randrange(1, max(2, min(_TAIL_BYTES_MAX, size // 2)))
    with file.open("r+b") as opened:
        opened.truncate(size - cut)
    scene.note("bytes cut off redis' log", cut)


async def third_worker(scene: Scene) -> None:
    """A third worker joins under load, works, and leaves, asked to or killed."""
    scene.crew.back(THIRD)
    await scene.crew.ready(scene.third_port)
    await asyncio.sleep(scene.random.uniform(1.0, 4.0))
    asked = scene.random.random() < 0.5
    scene.note("third worker left by SIGTERM" if asked else "third worker left by SIGKILL")
    await scene.crew.gone(THIRD, signal.SIGTERM if asked else signal.SIGKILL)


async def disk_full(scene: Scene) -> None:
    """Redis can write nothing more to its log, because the file may not grow (RLIMIT_FSIZE).

    For Redis that is the same path as a full disk: a short write, then an error; it refuses writes (MISCONF) until
    one succeeds. Unlike a small file system it needs no privileges.
    """
    pid = scene.crew.members["redis"].pid
    files = [path for path in scene.crew.layout.redis.rglob("*") if path.is_file()]
    limit = max(path.stat().st_size for path in files) + scene.random.randrange(_SLACK_BYTES)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    end = time.monotonic() + _FULL_S
    refused = False
    while time.monotonic() < end:
        await asyncio.to_thread(_write_something, scene)
        refused |= await asyncio.to_thread(_refuses, scene)
        await asyncio.sleep(0.1)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    scene.note("redis refused writes", refused)
    if not await _takes_writes_again(scene):
        scene.note("redis went on refusing and was restarted")
        await scene.crew.gone("redis", signal.SIGTERM)
        scene.crew.back("redis")
        await scene.crew.answering("redis")


async def _takes_writes_again(scene: Scene) -> bool:
    """False for a Redis that is stuck: when a rewrite of its log ends after a failed write, Redis 6.2 forgets what it
    had to write and so never tries again, while it refuses everything that would give it something to write."""
    end = time.monotonic() + _STUCK_S
    while time.monotonic() < end:
        if not await asyncio.to_thread(_refuses, scene):
            return True
        await asyncio.sleep(0.1)
    return False


def _write_something(scene: Scene) -> None:
    """Makes the log grow, whether anything else is being written just then or not; what it writes is gone at once."""
    inner = scene.crew.inner
    with contextlib.suppress(redis.RedisError), redis.Redis(host=inner.host, port=inner.redis_port) as client:
        client.set("chaos:filler", bytes(_SLACK_BYTES), px=1)


def _refuses(scene: Scene) -> bool:
    inner = scene.crew.inner
    with contextlib.suppress(redis.RedisError), redis.Redis(host=inner.host, port=inner.redis_port) as client:
        told: dict[str, Any] = client.info("persistence")
        return bool(told["aof_last_write_status"] != "ok")
    return False


def network(program: str, mode: str) -> Fault:
    """A slow, stuck or broken network in front of Redis or Kafka."""

    async def fault(scene: Scene) -> None:
        scene.crew.network(program, mode)
        if mode in ("latency", "stall"):
            await asyncio.sleep(_LATENCY_S if mode == "latency" else scene.random.uniform(_LATENCY_S, _STALL_S))
        scene.crew.network(program, "pass")

    return fault


INGESTION, SEGMENTATION = ("ingestion-1", "ingestion-2"), ("segmentation-1", "segmentation-2")
PROFILE_STORE = ("profile_store-1", "profile_store-2")
WALL_INGESTION, WALL_SEGMENTATION = ("wall-ingestion-1", "wall-ingestion-2"), ("wall-segmentation",)

FAULTS: dict[str, Fault] = {
    "kill segmentation": kill(SEGMENTATION, WALL_SEGMENTATION),
    "kill profile_store": kill(PROFILE_STORE),
    "kill ingestion": kill(INGESTION, WALL_INGESTION),
    "kill scoring": kill(("scoring",)),
    "kill model_registry": kill(("model_registry",)),
    "kill both ingestions": kill(*((name,) for name in (*INGESTION, *WALL_INGESTION))),
    "pause segmentation": pause(SEGMENTATION, WALL_SEGMENTATION),
    "pause profile_store": pause(PROFILE_STORE),
    "pause ingestion": pause(INGESTION, WALL_INGESTION),
    "pause scoring": pause(("scoring",)),
    "kill redis": redis_down(),
    "cut redis' log": redis_down(cut=True),
    "lose redis": redis_down(wipe=True),
    "pause redis": pause(("redis",)),
    "kill broker": kill(("kafka",)),
    "pause broker": pause(("kafka",)),
    "third worker joins and leaves": third_worker,
    "disk full": disk_full,
    "redis: slow network": network("redis", "latency"),
    "redis: stuck network": network("redis", "stall"),
    "redis: connections reset": network("redis", "reset"),
    "redis: half-closed": network("redis", "half_close"),
    "kafka: slow network": network("kafka", "latency"),
    "kafka: stuck network": network("kafka", "stall"),
    "kafka: connections reset": network("kafka", "reset"),
    "kafka: half-closed": network("kafka", "half_close"),
}

SHORT = (
    "kill segmentation",
    "pause segmentation",
    "lose redis",
    "kill ingestion",
    "cut redis' log",
    "pause ingestion",
    "kill scoring",
    "third worker joins and leaves",
    "disk full",
    "kill broker",
    "redis: connections reset",
    "kafka: half-closed",
)
"""For the run in every test suite: each family once."""


def order(names: tuple[str, ...], random: Random, early: str = "lose redis") -> list[str]:
    """Shuffles faults; the total loss comes early, because everything sent by then is read once more."""
    shuffled = list(names)
    random.shuffle(shuffled)
    if early in shuffled:
        shuffled.remove(early)
        shuffled.insert(random.randrange(1, 3), early)
    return shuffled
