"""What a topic holds: read whole, as often as a test asks."""

from aiokafka import ConsumerRecord

from shared.adapters.kafka_log import open_log
from shared.contracts.topics import KEYED_PARTITIONS


async def read_topic(bootstrap_servers: str, name: str, partitions: int = KEYED_PARTITIONS) -> list[ConsumerRecord]:
    """Every record of a topic (its physical name) up to its present end, by partition and offset."""
    async with open_log(bootstrap_servers) as log:
        found: list[ConsumerRecord] = []
        for extent in await log.extents(name, range(partitions)):
            async for records in log.read(name, extent):
                found += records
    return found
