"""How fast `freshet state rebuild` replays the log beside a live namespace, on the embedded platform."""

import asyncio
import os
import resource
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.local import topics
from services.segmentation.app import rebuild_stage
from shared.adapters.kafka import Message, Producer
from shared.adapters.redis import RedisClient
from shared.contracts.codec import encode
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.topics import KEYED_PARTITIONS, SEGMENT_DEFINITIONS, physical_topics
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.admin.rebuild import Rebuild
from tests.bench.pql.definitions import definitions
from tests.bench.pql.workload import load
from tests.bench.runtime.load import Loader, facts
from tests.support.platform import EmbeddedPlatform

_PREFIX = "rebuilt-"
_SEGMENTS = 20
_VALUES_FROM = 20_000
_RUNS = 3


def measure(data: Path | None, events: int) -> dict[str, Any]:
    """Returns the CPU time of each run of the command, and what of that is its start."""
    with EmbeddedPlatform.started() as platform:
        asyncio.run(_prepare(platform, data, events))
        runs = [_run(platform, f"green{number}") for number in range(_RUNS)]
        start = _run(platform, "green0")  # once more: there is nothing left to replay
        switched = subprocess.run(_command(platform, "switch", "--to", "green0"), capture_output=True, check=False)
    for run in runs:
        run["cpu_us_per_event"] = round((run["cpu_s"] - start["cpu_s"]) / events * 1e6, 1)
    best = min(runs, key=lambda run: run["cpu_us_per_event"])
    return {
        "start": start,
        "events": events,
        "segments": _SEGMENTS,
        "runs": runs,
        "best_events_per_s_per_core": round(1e6 / best["cpu_us_per_event"]),
        "compared_and_switched_to": switched.returncode == 0,
    }


async def _prepare(platform: EmbeddedPlatform, data: Path | None, events: int) -> None:
    """Publishes segments, loads events, and brings the live namespace to the log's end."""
    servers = platform.kafka_bootstrap_servers
    await topics.create(servers, physical_topics(_PREFIX))
    texts = [found.pql for found in definitions(_SEGMENTS, load(data, _VALUES_FROM))]
    producer = Producer(servers)
    await producer.start()
    named = [SegmentDefinition(f"s{i}", f"s{i}", text, 1) for i, text in enumerate(texts)]
    topic = _PREFIX + SEGMENT_DEFINITIONS.name
    for done in await producer.submit([Message(topic, 0, one.id.encode(), encode(one)) for one in named]):
        await done
    await producer.stop()
    async with Loader(servers, _PREFIX) as loader:
        await loader.all(islice(facts(data, events), events))
    redis = RedisClient(platform.redis_url)
    space = Keyspace(redis.client, "blue", "segmentation", KEYED_PARTITIONS)
    await Rebuild(await rebuild_stage(servers, _PREFIX), servers, _PREFIX, redis, space, None).catch_up()
    await redis.client.aclose()


def _command(platform: EmbeddedPlatform, command: str, *more: str) -> list[str]:
    where = ["--kafka", platform.kafka_bootstrap_servers, "--redis", platform.redis_url, "--prefix", _PREFIX]
    named = ["--stage", "segmentation", "--namespace", "blue", "--quiet"]
    return [sys.executable, "-m", "shared.cli", "state", command, *named, *where, *more]


def _run(platform: EmbeddedPlatform, namespace: str) -> dict[str, Any]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(_command(platform, "rebuild", "--to", namespace), capture_output=True, text=True, check=True)
    took_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "said": done.stdout.splitlines()[0],
        "wall_s": round(took_s, 1),
        "cpu_s": round(cpu_s, 2),
        "load": round(os.getloadavg()[0], 1),
    }
