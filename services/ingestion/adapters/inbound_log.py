"""Appends messages to `inbound` through the idempotent producer."""

from services.ingestion.ports import Durable
from shared.adapters.kafka import Producer
from shared.contracts.headers import Headers
from shared.contracts.topics import INBOUND


class KafkaInboundLog:
    """Implements `InboundLog`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def append(self, key: str, raw: bytes, headers: Headers) -> Durable:
        receipt = await self._producer.send(INBOUND, key, raw, headers)
        return Durable(receipt.partition, receipt.offset, receipt.timestamp_ms)
