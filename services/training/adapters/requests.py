"""The way to the topic `training-requests`, and to its dead letters."""

from dataclasses import replace

from shared.adapters.kafka import Producer
from shared.contracts.headers import Headers
from shared.contracts.models import TrainingRequest
from shared.contracts.topics import TRAINING_REQUESTS
from shared.kernel.errors import Rejected

_DEAD_LETTERS = replace(TRAINING_REQUESTS, name=TRAINING_REQUESTS.dlq_name, dlq=False)
_MESSAGE_CHARS_MAX = 1000


class KafkaRequests:
    """Implements the port `Requests`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def send(self, request: TrainingRequest) -> None:
        await self._producer.send(TRAINING_REQUESTS, request.id, request)

    async def bury(self, key: str, raw: bytes, error: Rejected) -> None:
        """Moves what is not a training request to the dead letters, with the reason in headers."""
        headers: Headers = (
            ("freshet-dlq-reason", str(error.reason).encode()),
            ("freshet-dlq-stage", b"training"),
            ("freshet-dlq-message", str(error)[:_MESSAGE_CHARS_MAX].encode("utf-8", "replace")),
        )
        await self._producer.send(_DEAD_LETTERS, key, raw, headers)
