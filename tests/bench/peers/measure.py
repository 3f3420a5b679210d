"""The two measurements, the same for every peer: how fast a preloaded topic is worked off, and how late outputs are."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local import topics
from shared.contracts.topics import EVENTS, KEYED_PARTITIONS, PROFILE_UPDATES
from tests.bench.peers.child import Child
from tests.bench.peers.peers import Peer, Run
from tests.bench.runtime.load import Loader, Row
from tests.bench.runtime.measure import percentiles
from tests.support.platform import EmbeddedPlatform

LOADED = "loaded-"
_COUNTED_FROM, _COUNTED_TO = 0.25, 0.85
_LIMIT_S = 90.0
_WARM_EVENTS = 500
_WARM_LIMIT_S = 10.0
_DRAIN_LIMIT_S = 5.0
_WARM_S, _MEASURED_S = 1, 3

_Read = tuple[int, float]
"""An output that has been read: when its event was handed over (ms since the epoch), and its age then (ms)."""


async def throughput(peer: Peer, platform: EmbeddedPlatform, events: int, folder: Path) -> dict[str, Any]:
    """Reads `<LOADED>events` from its start; counts from a quarter to 85 % of the events.

    Both ends lie inside the run, because a peer works ahead of what it has finished: counted to its very end, the
    events that were in flight at the beginning would be finished for nothing.
    """
    wanted = max(1_000, int(events * peer.share))
    run = await _new_run(peer, platform, LOADED, folder)
    async with Child.running(peer, run, platform) as child:
        before = await child.until(int(wanted * _COUNTED_FROM), _LIMIT_S)
        after = await child.until(int(wanted * _COUNTED_TO), _LIMIT_S)
        await child.until(wanted, _LIMIT_S)
        if peer.progress == "reported":  # nothing is durable before it has closed
            await asyncio.to_thread(child.stop)
        ended_at, outputs = time.monotonic(), await child.outputs()
    counted = after.done - before.done
    return {
        "events": wanted,
        "events_counted": counted,
        "events_per_second": round(counted / (after.at_s - before.at_s)),
        "events_per_second_to_the_end": round((wanted - before.done) / (ended_at - before.at_s)),
        "cpu_us_per_event": round((after.cpu_s - before.cpu_s) * 1e6 / counted, 1),
        "outputs": outputs,
        "outputs_per_event": round(outputs / wanted, 2),
    }


def rows_for_latency(peer: Peer) -> int:
    """Returns how many rows `latencies` can use."""
    return _WARM_EVENTS + sum(peer.rates) * (_WARM_S + _MEASURED_S)


async def latencies(peer: Peer, platform: EmbeddedPlatform, rows: Sequence[Row], folder: Path) -> list[dict[str, Any]]:
    """Offers rows to one running peer at each of its rates in turn; from handed to Kafka until a consumer has read the
    output. A rate after which outputs are missing is the last one: what was left behind would count for the next."""
    prefix = f"l{uuid4().hex[:6]}-"
    specs = {f"{prefix}{topic.name}": topic for topic in (EVENTS, PROFILE_UPDATES)}
    await topics.create(platform.kafka_bootstrap_servers, specs)
    run = replace(await _new_run(peer, platform, prefix, folder), hurried=True)
    results, left = [], iter(rows)
    async with (
        Child.running(peer, run, platform) as child,
        Loader(platform.kafka_bootstrap_servers, prefix) as loader,
        _following(peer, run, platform) as found,
    ):
        await loader.steadily(list(islice(left, _WARM_EVENTS)), _WARM_EVENTS)
        await _until(found, _WARM_EVENTS, _LIMIT_S)
        for rate in peer.rates:
            results.append(await _latency(child, loader, found, left, rate))
            if results[-1]["outputs"] < results[-1]["events"]:
                break
    return results


async def _latency(
    child: Child, loader: Loader, found: Sequence[_Read], left: Iterator[Row], rate: int
) -> dict[str, Any]:
    before_all = len(found)
    await loader.steadily(list(islice(left, rate * _WARM_S)), rate)
    await _until(found, before_all + rate * _WARM_S, _WARM_LIMIT_S, insist=False)
    measured = list(islice(left, rate * _MEASURED_S))
    offered = rate * _WARM_S + len(measured)
    before, started_ms = child.seen(0), time.time_ns() // 1_000_000
    reached = await loader.steadily(measured, rate)
    after, behind = child.seen(0), before_all + offered - len(found)
    await _until(found, before_all + offered, _DRAIN_LIMIT_S, insist=False)
    outcomes = [age_ms for at_ms, age_ms in found[before_all:] if at_ms >= started_ms]
    return {
        "offered_per_second": rate,
        "reached_per_second": round(reached),
        "events": len(measured),
        "outputs": len(outcomes),
        "behind_at_end": behind,
        "kept_up": behind < rate and len(found) >= before_all + offered,
        **percentiles(outcomes),
        "cpu_percent": round(100 * (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s), 1),
    }


async def _new_run(peer: Peer, platform: EmbeddedPlatform, prefix: str, folder: Path) -> Run:
    run = Run(f"{peer.name.replace('_', '-')}-{uuid4().hex[:6]}", prefix, folder / uuid4().hex[:8])
    run.folder.mkdir(parents=True)
    if peer.changelog:
        config = {"cleanup.policy": "compact"}
        await topics.create(
            platform.kafka_bootstrap_servers, {f"{run.name}{peer.changelog}": _Spec(KEYED_PARTITIONS, config)}
        )
    return run


@dataclass(frozen=True)
class _Spec:
    partitions: int
    config: dict[str, str]


async def _until(found: Sequence[_Read], count: int, limit_s: float, *, insist: bool = True) -> None:
    end = time.monotonic() + limit_s
    while len(found) < count and time.monotonic() < end:  # noqa: ASYNC110 - with a limit, and what is read has no event
        await asyncio.sleep(0.02)
    if insist and len(found) < count:
        raise RuntimeError(f"{len(found)} of {count} outputs within {limit_s:g} s")


@contextlib.asynccontextmanager
async def _following(peer: Peer, run: Run, platform: EmbeddedPlatform) -> AsyncIterator[Sequence[_Read]]:
    """Notes outputs as they are read, for the block."""
    following = asyncio.create_task(_follow(peer, run, platform, found := list[_Read]()))
    try:
        yield found
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def _follow(peer: Peer, run: Run, platform: EmbeddedPlatform, found: list[_Read]) -> None:
    """Notes each output when it is read; it carries the time at which its event was handed over."""
    partitions = [TopicPartition(run.target, number) for number in range(KEYED_PARTITIONS)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=platform.kafka_bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        isolation_level="read_committed" if peer.transactional else "read_uncommitted",
    )
    consumer.assign(partitions)
    await consumer.start()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=100, max_records=5_000)
            now_ms = time.time() * 1_000
            found += [(r.timestamp, max(0.0, now_ms - r.timestamp)) for records in batches.values() for r in records]
    finally:
        await consumer.stop()
