"""Mends aiokafka's connection for uvloop.

When a peer resets a connection, uvloop's transport raises RuntimeError ("the handler is closed") on the next write,
where asyncio's own raises OSError. aiokafka 0.14 expects the latter alone: its fetcher or sender ends with the other,
and the client is silent for ever in a process that looks alive.

A client that stops waits until each connection is closed, and over TLS uvloop waits up to 30 s for the broker to say
goodbye, which a broker that holds a fetch does not do.
"""

from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


def mend() -> None:
    """Makes a write to a closed transport a broken connection, from which aiokafka recovers, and lets no close wait for
    the other side. Harmless when repeated."""
    for name, mended in (("send", _mended_send), ("close", _mended_close)):
        original = getattr(AIOKafkaConnection, name)
        if not hasattr(original, "__wrapped__"):
            setattr(AIOKafkaConnection, name, mended(original))


def _mended_send(original: Any) -> Any:
    @wraps(original)
    def send(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return original(self, *arguments, **options)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error

    return send


def _mended_close(original: Any) -> Any:
    @wraps(original)
    def close(self: Any, *arguments: Any, **options: Any) -> Any:
        if self._writer is not None and self._ssl_context is not None:
            # Whoever closes has had every answer that counts; what has none is given up with the connection.
            self._writer.transport.abort()
        return original(self, *arguments, **options)

    return close
