"""The floor: the same records copied from topic to topic by a bare consumer and producer, with nothing decided."""

import time
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared.contracts.topics import INBOUND

_RECORDS_MAX = 4_000


async def copy(bootstrap_servers: str, source: str, target: str) -> dict[str, float]:
    """Copies all records of `source` to `target`, confirmed batch by batch; returns records/s and CPU µs/record."""
    partitions = [TopicPartition(source, number) for number in range(INBOUND.partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=131_072,
    )
    consumer.assign(partitions)
    await consumer.start()
    await producer.start()
    try:
        left = sum((await consumer.end_offsets(partitions)).values())
        total, started, cpu = left, time.monotonic(), _cpu_s()
        while left > 0:
            batches = await consumer.getmany(timeout_ms=200, max_records=_RECORDS_MAX)
            waiting: list[Any] = []
            for partition, records in batches.items():
                waiting += await _send(producer, target, partition.partition, records)
                left -= len(records)
            for future in waiting:
                await future
        seconds = time.monotonic() - started
        return {
            "records": total,
            "records_per_second": round(total / seconds),
            "cpu_us_per_record": round((_cpu_s() - cpu) * 1e6 / total, 1),
        }
    finally:
        await consumer.stop()
        await producer.stop()


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, records: list[Any]) -> list[Any]:
    futures, batch = [], producer.create_batch()
    for record in records:
        fields = {"timestamp": record.timestamp, "key": record.key, "value": record.value}
        if batch.append(**fields, headers=list(record.headers)) is None:
            futures.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(**fields, headers=list(record.headers))
    futures.append(await producer.send_batch(batch, topic, partition=partition))
    return futures


def _cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
