"""Reads `segment-memberships` as any consumer would, and measures how long a decision took."""

import asyncio
import time
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.demo.latency import Latency
from deploy.demo.tally import Tally
from shared.contracts.topics import SEGMENT_MEMBERSHIPS

_RECORDS_MAX = 500


@dataclass
class MembershipReader:
    """Follows the topic from its start.

    Latency: from the moment the causing record was produced (Kafka's timestamp, which decisions carry on) to the
    moment its membership record is read here. Changes that time alone brought have no such moment and are left out.
    """

    bootstrap_servers: str
    prefix: str = ""
    tally: Tally = field(default_factory=Tally)
    latency: Latency = field(default_factory=Latency)
    records: int = 0

    async def follow(self) -> None:
        """Reads until cancelled; a broker that is away for a while is waited for."""
        topic = self.prefix + SEGMENT_MEMBERSHIPS.name
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap_servers,
            client_id="freshet-demo",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        consumer.assign([TopicPartition(topic, number) for number in range(SEGMENT_MEMBERSHIPS.partitions)])
        try:
            await consumer.start()
            while True:
                try:
                    batches = await consumer.getmany(timeout_ms=100, max_records=_RECORDS_MAX)
                except KafkaError:
                    await asyncio.sleep(0.5)
                    continue
                now_ms = time.time() * 1000
                for record in (record for records in batches.values() for record in records):
                    self._take(record.value, record.timestamp, now_ms)
        finally:
            await consumer.stop()

    def _take(self, raw: bytes, produced_ms: int, now_ms: float) -> None:
        memberships = SEGMENT_MEMBERSHIPS.codec.decode(raw)
        repeats = self.tally.repeats
        self.tally.add(memberships)
        self.records += 1
        new = self.tally.repeats == repeats
        if new and any(transition.cause.kind == "fact" for transition in memberships.transitions):
            self.latency.add(max(0.0, now_ms - produced_ms))
