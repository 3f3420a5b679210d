"""The way of model events from the outbox to Kafka."""

from shared.adapters.kafka import Producer
from shared.adapters.sql import Outbox


class OutboxEvents:
    """Implements the port `Events`: publishes at once when Kafka answers, otherwise the timer does later."""

    def __init__(self, outbox: Outbox, producer: Producer) -> None:
        self._outbox = outbox
        self._producer = producer

    async def nudge(self) -> None:
        await self._outbox.relay_soon(self._producer)
