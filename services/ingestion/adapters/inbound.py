"""The topic `inbound` as the log of accepted messages."""

from services.ingestion.ports import Acceptance
from shared.adapters.kafka import Producer
from shared.contracts.headers import Headers
from shared.contracts.topics import INBOUND


class KafkaInboundLog:
    """Implements `InboundLog`. The key is the profile id, so that one partition of `inbound` feeds one of `events`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def append(self, key: str, raw: bytes, headers: Headers) -> Acceptance:
        receipt = await self._producer.send(INBOUND, key, raw, headers)
        return Acceptance(receipt.partition, receipt.offset, receipt.timestamp_ms)
