"""From just before an HTTP request is sent until a consumer has read the membership that its event caused.

The real ingestion and segmentation services, 20 segments, the wall clock. GA4 events (synthetic ones without the data)
are sent as if they happened now, singly or in batches as an SDK sends them. The sender is a process of its own.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.demo import setup
from deploy.demo.definitions import load_segments, union_schema
from deploy.local import platform
from shared.cli.sources.choose import choose_source
from shared.cli.sources.source import Datasets, Source
from shared.contracts.codec import encode
from shared.contracts.topics import SEGMENT_MEMBERSHIPS
from shared.kernel.clock import format_instant
from shared.sdk import Freshet
from tests.bench.runtime.http_sender import Answers, Job
from tests.bench.runtime.measure import percentiles
from tests.support.platform import EmbeddedPlatform

_ROOT = Path(__file__).parents[3]
_SERVICES = ("ingestion", "segmentation")
_EVENTS = 400_000
_WARM_UP = (1_000, 1, 3)
_CASES = ((1_000, 1), (2_000, 1), (5_000, 1), (1_000, 20), (2_000, 20), (5_000, 20))
"""Events per second offered, events per request."""
_SECONDS = 6
_WARM_SHARE = 0.2
_CONNECTIONS_SINGLE, _CONNECTIONS_BATCH = 256, 64
"""Enough for what is under way at the highest rate; no more batches than ingestion lets wait for Kafka at once."""
_DRAIN_S = 2.0
_AGE_US = 60_000_000
"""Events are this old when they are sent, so that none lies in the future of a clock that is behind."""


class _Cause(msgspec.Struct):
    kind: str
    id: str


class _Transition(msgspec.Struct):
    cause: _Cause


class _Memberships(msgspec.Struct):
    transitions: list[_Transition]


@dataclass(frozen=True)
class _Inlet:
    """A connection of the running ingestion service, and the entities that go through it."""

    id: str
    datasets: Datasets
    entities: Iterator[dict[str, Any]]


async def measure(embedded: EmbeddedPlatform, folder: Path, data: Path | None) -> list[dict[str, Any]]:
    """Starts the services on the platform (they go on afterwards) and measures each case."""
    await asyncio.to_thread(platform.start, embedded.settings, _SERVICES)
    source = choose_source(data, users=_EVENTS // 10, seed=0)
    inlet = await asyncio.to_thread(_prepare, embedded, source)
    found = []
    async with _reading(embedded) as seen:
        await _case(embedded, folder, inlet, seen, *_WARM_UP)
        for rate, size in _CASES:
            found.append(await _case(embedded, folder, inlet, seen, rate, size, _SECONDS))
            sys.stderr.write(f"http {found[-1]}\n")
    return found


def _prepare(embedded: EmbeddedPlatform, source: Source) -> _Inlet:
    urls = {name: embedded.settings.url(name) for name in _SERVICES}
    segments = load_segments(_ROOT / "tests" / "bench" / "segments" / source.name, union_schema(source.name))
    with Freshet.connect(urls) as freshet:
        datasets = setup.register_data(freshet, source.name)
        inlet = freshet.ingestion.register_connection(f"{source.name}-inlet", datasets.events)
        setup.define_segments(freshet, segments)
        setup.wait_until_ready(freshet)
    messages = (item for item in source.read(datasets) if item.kind == "event")
    return _Inlet(inlet, datasets, (dict(item.message.body.xdm_entity) for item in islice(messages, _EVENTS)))


async def _case(
    embedded: EmbeddedPlatform,
    folder: Path,
    inlet: _Inlet,
    seen: dict[str, int],
    rate: int,
    size: int,
    seconds: int,
) -> dict[str, Any]:
    ids, bodies = _bodies(inlet, rate, size, seconds)
    (folder / "bodies").write_bytes(msgspec.msgpack.encode(bodies))
    path = f"/collection/batch/{inlet.id}" if size > 1 else f"/collection/{inlet.id}"
    settings = embedded.settings
    job = Job(
        host=settings.host,
        port=settings.ingestion_port,
        path=path,
        bodies=str(folder / "bodies"),
        rate=rate / size,
        connections=_CONNECTIONS_BATCH if size > 1 else _CONNECTIONS_SINGLE,
        answers=str(folder / "answers"),
    )
    seen.clear()
    load = round(os.getloadavg()[0], 1)
    used = await _send(embedded, job)
    answers = msgspec.msgpack.decode((folder / "answers").read_bytes(), type=Answers)
    await asyncio.sleep(_DRAIN_S)
    return {
        "offered_per_second": rate,
        "events_per_request": size,
        "reached_per_second": round(answers.taken / answers.seconds),
        "events": len(ids),
        "confirmed_2xx": answers.taken,
        "answers": {str(status): count for status, count in sorted(answers.statuses.items())},
        **_latencies(answers, ids, size, dict(seen)),
        "cpu_us_per_event": {
            **{name: round(spent * 1e6 / max(1, answers.taken), 1) for name, spent in used.items()},
            "sender": round(answers.cpu_s * 1e6 / len(ids), 1),
        },
        "sender_cpu_percent": round(100 * answers.cpu_s / answers.seconds, 1),
        "load_average": load,
    }


def _bodies(inlet: _Inlet, rate: int, size: int, seconds: int) -> tuple[list[str], list[bytes]]:
    """Ids of the events in order, and one body per request; every event happens when it is due."""
    entities = list(islice(inlet.entities, rate * seconds // size * size))
    first_us = time.time_ns() // 1_000 - _AGE_US
    for number, entity in enumerate(entities):
        entity["timestamp"] = format_instant(first_us + number * 1_000_000 // rate)
    header = {"datasetId": inlet.datasets.events}
    messages = [encode({"header": header, "body": {"xdmEntity": entity}}) for entity in entities]
    ids = [entity["_id"] for entity in entities]
    if size == 1:
        return ids, messages
    groups = (messages[start : start + size] for start in range(0, len(messages), size))
    return ids, [b'{"messages":[' + b",".join(group) + b"]}" for group in groups]


async def _send(embedded: EmbeddedPlatform, job: Job) -> Mapping[str, float]:
    """Runs the sender; returns CPU s that each process has used from its first request to its last answer."""
    command = [sys.executable, "-m", "tests.bench.runtime.http_sender", json.dumps(asdict(job))]
    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise RuntimeError("the sender ended before it was ready; see above for its reason")
        before = _cpu_s(embedded)
        process.stdin.write(b"go\n")
        if code := await process.wait():
            raise RuntimeError(f"the sender ended with {code}; see above for its reason")
        after = _cpu_s(embedded)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return {name: spent - before[name] for name, spent in after.items()}


def _cpu_s(embedded: EmbeddedPlatform) -> dict[str, float]:
    processes = {name: psutil.Process(embedded.pid(name)) for name in ("kafka", "redis", *_SERVICES)}
    processes["reader"] = psutil.Process()
    return {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}


def _latencies(answers: Answers, ids: Sequence[str], size: int, seen: Mapping[str, int]) -> dict[str, Any]:
    """Percentiles (ms) without the first events: to the membership, to the answer; and how late requests were sent."""
    first = int(len(answers.sent_us) * _WARM_SHARE)
    pairs = list(zip(answers.sent_us, answers.answered_us, strict=True))[first:]
    numbers = range(first * size, len(ids))
    membership = [(seen[ids[n]] - answers.sent_us[n // size]) / 1_000 for n in numbers if ids[n] in seen]
    return {
        "memberships": len(membership),
        "sent_to_membership": percentiles(membership),
        "sent_to_answer": percentiles([(answered - sent) / 1_000 for sent, answered in pairs if answered]),
        "late": percentiles(answers.late_ms[first:]),
    }


@contextlib.asynccontextmanager
async def _reading(embedded: EmbeddedPlatform) -> Any:
    """Follows memberships for the block: when each event was first seen as a cause (µs since the epoch), by its id."""
    seen: dict[str, int] = {}
    following = asyncio.create_task(_follow(embedded, seen))
    try:
        yield seen
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def _follow(embedded: EmbeddedPlatform, seen: dict[str, int]) -> None:
    decoder = msgspec.json.Decoder(_Memberships)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=embedded.kafka_bootstrap_servers, enable_auto_commit=False, fetch_max_wait_ms=50
    )
    consumer.assign([TopicPartition(SEGMENT_MEMBERSHIPS.name, n) for n in range(SEGMENT_MEMBERSHIPS.partitions)])
    await consumer.start()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=100, max_records=2_000)
            now_us = time.time_ns() // 1_000
            for record in (record for records in batches.values() for record in records):
                for transition in decoder.decode(record.value).transitions:
                    if transition.cause.kind == "fact":
                        seen.setdefault(transition.cause.id, now_us)
    finally:
        await consumer.stop()
