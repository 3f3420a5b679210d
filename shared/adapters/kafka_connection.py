"""Mends aiokafka's connection for uvloop.

When a peer resets a connection, uvloop's transport raises RuntimeError ("the handler is closed") on the next write,
where asyncio's own raises OSError. aiokafka 0.14 expects the latter alone: its fetcher or sender ends with the other,
and the client is silent for ever in a process that looks alive.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


def mend() -> None:
    """Makes a write to a closed transport a broken connection, from which aiokafka recovers. Harmless when repeated."""
    if getattr(AIOKafkaConnection.send, "is_mended", False):
        return
    original = AIOKafkaConnection.send

    def send(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return original(self, *arguments, **options)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error

    send.is_mended = True  # type: ignore[attr-defined]
    AIOKafkaConnection.send = send
