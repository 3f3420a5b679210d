"""Appends messages to `inbound` through the idempotent producer."""

from collections.abc import Sequence

from services.ingestion.ports import Durable
from shared.adapters.kafka import Producer
from shared.contracts.headers import Headers
from shared.contracts.topics import INBOUND
from shared.kernel.errors import Retryable


class KafkaInboundLog:
    """Implements `InboundLog`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def append(self, records: Sequence[tuple[str, bytes]], headers: Headers) -> Sequence[Durable | Retryable]:
        outcomes = await self._producer.send_all(INBOUND, records, headers)
        return [
            outcome
            if isinstance(outcome, Retryable)
            else Durable(outcome.partition, outcome.offset, outcome.timestamp_ms)
            for outcome in outcomes
        ]
