"""The measurements, each on fresh Redis keys so that it begins from an empty state."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.topics import KEYED_PARTITIONS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS, Topic
from tests.bench.runtime.load import Loader, Row, plain
from tests.bench.runtime.stages import RUNG, SEGMENTATION
from tests.bench.runtime.stand import Stand, cpu_percent, cpu_us, end, start
from tests.bench.runtime.worker import Spec

_SETTLE_S = 2.0
_CATCH_UP_S = 10.0
_RING_IN_S = 8.0
_LIMIT_S = 40.0


class _Cause(msgspec.Struct):
    kind: str


class _Transition(msgspec.Struct):
    cause: _Cause


class _Memberships(msgspec.Struct):
    transitions: list[_Transition]

    @property
    def by_fact(self) -> bool:
        return all(transition.cause.kind == "fact" for transition in self.transitions)


class _Total(msgspec.Struct):
    id: str

    @property
    def by_fact(self) -> bool:
        return self.id != RUNG


async def throughput(
    stand: Stand, kind: str, prefix: str, events: int, workers: int = 1, **spec_fields: str
) -> dict[str, Any]:
    """Reads a preloaded topic of `events` records from its start to its end, cold, with everything durable.

    The clock runs from the moment at which workers that own their partitions may begin to read: nothing is in flight
    then, nor at the end, so that no event's cost falls outside.
    """
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder) / "open"
        spec = stand.spec(kind, prefix, uuid4().hex[:8], gate=str(gate), **spec_fields)
        with stand.running(spec, workers):
            before = await stand.claimed(spec)
            gate.touch()
            after = await stand.until(spec, events)
    counted = after.applied - before.applied
    return {
        "workers": workers,
        "events": counted,
        "events_per_second": round(counted / (after.at_s - before.at_s)),
        "cpu_us_per_event": cpu_us(before, after, counted),
    }


async def latency(stand: Stand, spec: Spec, rows: Sequence[Row], rate: int) -> dict[str, Any]:
    """Offers rows at a steady rate to a running worker; from handed to Kafka until a consumer has read the outcome."""
    topic = SEGMENT_MEMBERSHIPS if spec.kind == SEGMENTATION else PROFILE_UPDATES
    done = (await stand.progress(spec)).applied
    reading = asyncio.create_task(_read(stand, spec.prefix, topic, found := list[float]()))
    await asyncio.sleep(_SETTLE_S)
    async with Loader(spec.bootstrap_servers, spec.prefix) as loader:
        before = await stand.progress(spec)
        warm = len(rows) // 5
        await loader.steadily(rows[:warm], rate)
        found.clear()
        reached = await loader.steadily(rows[warm:], rate)
        ended = await stand.progress(spec, cpu=False)
        behind = done + len(rows) - ended.applied
        with contextlib.suppress(RuntimeError):  # a worker that falls behind is a finding
            await stand.until(spec, done + len(rows), _CATCH_UP_S)
        after = await stand.progress(spec)
    await asyncio.sleep(0.5)
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    return {
        "offered_per_second": rate,
        "reached_per_second": round(reached),
        "behind_at_end": behind,
        "outcomes": len(found),
        **percentiles(found),
        "cpu_percent": cpu_percent(before, after),
    }


async def idle(stand: Stand, spec: Spec, seconds: float) -> dict[str, Any]:
    """CPU of a caught-up worker with nothing to do, per cent of one core."""
    await asyncio.sleep(_SETTLE_S)
    before = await stand.progress(spec)
    await asyncio.sleep(seconds)
    return cpu_percent(before, await stand.progress(spec))


async def recovery(stand: Stand, spec: Spec, rows: Sequence[Row], rate: int) -> dict[str, Any]:
    """Kills the only worker (SIGKILL) under load and starts another at once, as a supervisor does.

    Time from the kill to the first newly applied event, and until every event offered meanwhile is applied.
    """
    done = (await stand.progress(spec)).applied
    async with Loader(spec.bootstrap_servers, spec.prefix) as loader:
        offering = asyncio.create_task(loader.steadily(rows, rate))
        await stand.until(spec, done + len(rows) // 5)
        killed_at = time.monotonic()
        stand.workers[0].kill()
        stand.workers[0].wait()
        at_kill = (await stand.progress(spec, cpu=False)).applied
        stand.workers[0] = start(spec)
        first = await stand.until(spec, at_kill + 1)
        await offering
        last = await stand.until(spec, done + len(rows))
    return {
        "rate": rate,
        "session_timeout_s": 6.0,
        "first_applied_after_s": round(first.at_s - killed_at, 2),
        "caught_up_after_s": round(last.at_s - killed_at, 2),
    }


async def deadlines(stand: Stand, spec: Spec, count: int, rate: int) -> dict[str, Any]:
    """Lets `count` deadlines come at one instant under a steady rate of live events (wall clock).

    Live latency before that instant and after it until the last has fired, and how long all of them took.
    """
    done = (await stand.progress(spec)).applied
    found: list[float] = []
    rung: list[float] = []
    async with Loader(spec.bootstrap_servers, spec.prefix) as loader:
        at_s = time.time() + _RING_IN_S
        await loader.all(iter([plain(f"d{number}", int(at_s * 1e6)) for number in range(count)]))
        await stand.until(spec, done + count)
        reading = asyncio.create_task(_read(stand, spec.prefix, PROFILE_UPDATES, found, rung))
        rows = [plain(f"l{number % 5_000}", 0) for number in range(rate)]
        quiet: list[float] = []
        while time.time() < at_s - 0.5:
            quiet_from = len(found)
            await loader.steadily(rows[: rate // 4], rate)
            quiet += found[quiet_from:]
        found.clear()
        while len(rung) < count and time.time() < at_s + _LIMIT_S:
            await loader.steadily(rows[: rate // 4], rate)
        last_s = max(rung, default=time.time()) - at_s
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    return {
        "deadlines": count,
        "fired": len(rung),
        "all_fired_after_s": round(last_s, 2),
        "live_rate": rate,
        "live_before": percentiles(quiet),
        "live_while_firing": percentiles(found),
    }


async def handover(stand: Stand, spec: Spec, rows: Sequence[Row], rate: int) -> dict[str, Any]:
    """Stops the only worker (SIGTERM) and starts another at once: a rolling restart."""
    done = (await stand.progress(spec)).applied
    async with Loader(spec.bootstrap_servers, spec.prefix) as loader:
        offering = asyncio.create_task(loader.steadily(rows, rate))
        await stand.until(spec, done + len(rows) // 5)
        stopped_at = time.monotonic()
        await asyncio.to_thread(end, stand.workers[0])
        at_stop = (await stand.progress(spec, cpu=False)).applied
        stand.workers[0] = start(spec)
        first = await stand.until(spec, at_stop + 1)
        await offering
        await stand.until(spec, done + len(rows))
    return {"rate": rate, "first_applied_after_s": round(first.at_s - stopped_at, 2)}


def percentiles(found: list[float]) -> dict[str, float]:
    """p50, p95, p99 and the greatest, ms."""
    if not found:
        return {}
    ordered = sorted(found)
    marks = {f"p{p}_ms": ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for p in (50, 95, 99)}
    return {name: round(value, 1) for name, value in {**marks, "max_ms": ordered[-1]}.items()}


async def _read(stand: Stand, prefix: str, topic: Topic, found: list[float], rung: list[float] | None = None) -> None:
    """Follows a topic from its end: `found` gets latencies in ms, `rung` the instants (s) of outcomes by time alone."""
    wanted: type[_Memberships] | type[_Total] = _Memberships if topic is SEGMENT_MEMBERSHIPS else _Total
    decoder: msgspec.json.Decoder[_Memberships | _Total] = msgspec.json.Decoder(wanted)
    partitions = [TopicPartition(prefix + topic.name, number) for number in range(KEYED_PARTITIONS)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stand.platform.kafka_bootstrap_servers, enable_auto_commit=False, fetch_max_wait_ms=50
    )
    consumer.assign(partitions)
    await consumer.start()
    try:
        await consumer.seek_to_end(*partitions)
        while True:
            batches = await consumer.getmany(timeout_ms=100, max_records=2_000)
            now_ms = time.time() * 1_000
            for record in (record for records in batches.values() for record in records):
                outcome = decoder.decode(record.value)
                if outcome.by_fact:
                    found.append(max(0.0, now_ms - record.timestamp))
                elif rung is not None:
                    rung.append(now_ms / 1_000)
    finally:
        await consumer.stop()
