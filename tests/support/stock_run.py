"""One run of the stock Faust worker of `stock_faust` on a real broker: what it committed, finished and produced."""

import asyncio
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local import topics as kafka_topics
from tests.support import stock_faust
from tests.support.stock_faust import CASES, OUTPUT_BYTES_MAX, group, output, source
from tests.support.waiting import eventually

EVENTS: Mapping[str, int] = {"raises": 100, "take": 1_000, "concurrency": 100, "send": 300, "awaited_send": 20}
"""Events offered to each case, numbered from 0."""

_WHOLLY_COMMITTED = ("raises", "take", "send")
_FAILING_SENDS = ("send", "awaited_send")
_LIMIT_S = 60.0


@dataclass(frozen=True)
class StockOutcome:
    """`committed`: the group's next offset; `done`: numbers of finished events; `outputs`: records produced."""

    offered: int
    committed: int
    done: Sequence[int]
    outputs: int


@dataclass(frozen=True)
class _Spec:
    partitions: int
    config: dict[str, str]


async def run_stock_faust(bootstrap_servers: str, prefix: str) -> Mapping[str, StockOutcome]:
    """Offers all events, lets the worker commit what it thinks done, kills it and looks what it has left."""
    names = {source(prefix, case): _Spec(1, {}) for case in CASES}
    small = {"max.message.bytes": str(OUTPUT_BYTES_MAX)}
    names |= {output(prefix, case): _Spec(1, small) for case in _FAILING_SENDS}
    await kafka_topics.create(bootstrap_servers, names)
    await _offer(bootstrap_servers, prefix)
    with tempfile.TemporaryDirectory(prefix="freshet-test-") as folder:
        command = [sys.executable, "-m", stock_faust.__name__, bootstrap_servers, prefix, folder]
        process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL)
        try:
            committed = await eventually(partial(_all_committed, bootstrap_servers, prefix), "commits", _LIMIT_S)
        finally:
            process.kill()
            await process.wait()
        done = {case: _numbers(Path(folder) / case) for case in CASES}
    ends = await _ends(bootstrap_servers, [output(prefix, case) for case in _FAILING_SENDS])
    return {
        case: StockOutcome(EVENTS[case], committed[case], done[case], ends.get(output(prefix, case), 0))
        for case in CASES
    }


async def _offer(bootstrap_servers: str, prefix: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", linger_ms=20)
    await producer.start()
    try:
        for case, count in EVENTS.items():
            for number in range(count):
                await producer.send(source(prefix, case), b"%d" % number)
    finally:
        await producer.stop()


async def _all_committed(bootstrap_servers: str, prefix: str) -> dict[str, int]:
    """The group's offsets once what each case shows is there to be seen; nothing before that."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group(prefix))
    except KafkaError:  # the first group of a broker makes it create the topic of offsets
        return {}
    finally:
        await admin.close()
    committed = dict.fromkeys(CASES, 0)
    for case in CASES:
        held = found.get(TopicPartition(source(prefix, case), 0))
        committed[case] = max(0, held.offset) if held is not None else 0
    # One agent never finishes its first event; another is started again, slowly, after each of its events.
    begun = all(committed[case] > 0 for case in ("concurrency", "awaited_send"))
    return committed if begun and all(committed[case] == EVENTS[case] for case in _WHOLLY_COMMITTED) else {}


def _numbers(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def _ends(bootstrap_servers: str, names: Sequence[str]) -> dict[str, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(name, 0) for name in names])
    finally:
        await consumer.stop()
    return {tp.topic: offset for tp, offset in ends.items()}


if __name__ == "__main__":
    outcomes = asyncio.run(run_stock_faust(sys.argv[1], sys.argv[2]))
    for name, outcome in outcomes.items():
        sys.stdout.write(f"{name}: {outcome.committed} of {outcome.offered} committed, {len(outcome.done)} done, ")
        sys.stdout.write(f"{outcome.outputs} outputs\n")
