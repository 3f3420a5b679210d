"""Latency of live facts with and without a backfill beside them, in the same run, on the embedded platform."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.facts import Fact
from shared.contracts.topics import KEYED_PARTITIONS, SEGMENT_MEMBERSHIPS
from shared.kernel.clock import WallClock
from tests.support.backfill_world import World, opened
from tests.support.platform import EmbeddedPlatform

_PROBES_PER_S = 200
_QUIET_S = 10.0
_LIMIT_S = 90.0


def measure(events: int) -> dict[str, Any]:
    """Returns latencies (ms) from a fact's production to its membership at a consumer, and the backfill's duration."""
    with EmbeddedPlatform.started() as platform, tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(platform, Path(folder), events))


async def _measure(platform: EmbeddedPlatform, folder: Path, events: int) -> dict[str, Any]:
    async with opened(platform, folder) as world:
        await world.started()
        await world.define("probe", 'xEvent[eventType = "commerce.checkouts"].count() >= 1')
        await world.wait_ready("probe")
        for _ in range(events // 5_000):
            await world.come(5_000)
        await world.decided()
        seen: dict[str, float] = {}
        listening = asyncio.create_task(_listen(world, seen))
        await asyncio.sleep(1.0)
        ends = time.monotonic() + _QUIET_S
        quiet = await _probe(world, seen, "quiet", lambda: time.monotonic() < ends)
        await world.define("twelve", "xEvent.count() >= 12")
        began, ready = time.monotonic(), asyncio.create_task(world.wait_ready("twelve", _LIMIT_S))
        busy = await _probe(world, seen, "busy", lambda: not ready.done())
        await ready
        took_s = time.monotonic() - began
        exact = world.expected() == await world.members("twelve")
        listening.cancel()
        await asyncio.wait({listening})
    return {
        "records": events,
        "probes_per_s": _PROBES_PER_S,
        "backfill_s": round(took_s, 1),
        "members_exact": exact,
        "latency_ms_without": quiet,
        "latency_ms_beside_backfill": busy,
    }


async def _listen(world: World, seen: dict[str, float]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=world.settings.kafka_bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        topic = world.settings.topic_prefix + SEGMENT_MEMBERSHIPS.name
        places = [TopicPartition(topic, partition) for partition in range(KEYED_PARTITIONS)]
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        async for record in consumer:
            seen.setdefault(record.key.decode(), time.monotonic())
    finally:
        await consumer.stop()


async def _probe(world: World, seen: dict[str, float], name: str, goes_on: Callable[[], bool]) -> dict[str, float]:
    """Sends somebody new every few milliseconds and waits until all of them have been seen."""
    sent: dict[str, float] = {}
    began = time.monotonic()
    while goes_on():
        person, now = f"{name}{len(sent)}", WallClock().now()
        sent[person] = time.monotonic()
        body = {"eventType": "commerce.checkouts"}
        await world.produce([Fact(person, "event", "default", person, now, now, "web", body=body)])
        await asyncio.sleep(max(0.0, began + len(sent) / _PROBES_PER_S - time.monotonic()))
    limit = time.monotonic() + 30
    while not sent.keys() <= seen.keys() and time.monotonic() < limit:  # noqa: ASYNC110 - another task fills `seen`
        await asyncio.sleep(0.05)
    taken = sorted((seen[person] - at) * 1000 for person, at in sent.items() if person in seen)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    found = {word: round(taken[min(len(taken) - 1, int(share * len(taken)))], 1) for word, share in shares.items()}
    return found | {"probes": len(sent), "lost": len(sent) - len(taken)}
