"""Reads one partition of a topic from its start to its end, in no group."""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

_FETCH_BYTES = 4 * 1024 * 1024
_SILENCE_S = 60.0


def read_partition(bootstrap_servers: str, topic: str, partition: int) -> list[ConsumerRecord]:
    """Returns every record. Blocks; raises TimeoutError when the broker falls silent before the end."""
    return asyncio.run(_read(bootstrap_servers, TopicPartition(topic, partition)))


async def _read(bootstrap_servers: str, place: TopicPartition) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, max_partition_fetch_bytes=_FETCH_BYTES
    )
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        end = (await consumer.end_offsets([place]))[place]
        records: list[ConsumerRecord] = []
        async with asyncio.timeout(_SILENCE_S) as silence:
            while await consumer.position(place) < end:
                fetched = await consumer.getmany(place, timeout_ms=1_000)
                if found := fetched.get(place):
                    records += found
                    silence.reschedule(asyncio.get_running_loop().time() + _SILENCE_S)
        return records
    finally:
        await asyncio.sleep(0)
        await consumer.stop()
