"""Request bodies: counted as they arrive, so that no client can make the process hold more than its share."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from fastapi import HTTPException

from services.ingestion.metrics import IngestionMetrics
from services.ingestion.settings import Settings
from shared.kernel.errors import Reason, Rejected, Retryable

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""ASGI's: gives the next part of the request."""


class DisconnectedError(Exception):
    """The client has gone: nobody waits for an answer."""


class Admission:
    """Bounds the bytes of all collection requests that are being handled."""

    def __init__(self, settings: Settings, metrics: IngestionMetrics) -> None:
        self._bytes_max = settings.in_flight_bytes_max
        self._bytes = 0
        self.body_timeout_s = settings.body_timeout_s
        metrics.in_flight_bytes.set_function(lambda: self._bytes)

    def take(self, size: int) -> None:
        """Raises Retryable when all requests together would hold too much."""
        if self._bytes + size > self._bytes_max:
            raise Retryable(f"{self._bytes} bytes of collection requests are being handled, too many for more")
        self._bytes += size

    def give_back(self, size: int) -> None:
        self._bytes -= size


class Share:
    """What one request holds, until it is left."""

    __slots__ = ("_admission", "_bytes")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._bytes = 0

    def leave(self) -> None:
        """Gives everything back."""
        self._admission.give_back(self._bytes)

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive, bytes_max: int) -> bytes:
        """Returns the body. Raises Rejected (`too_big`) as soon as it is too long, however its length was announced."""
        encoding = headers.get(b"content-encoding", b"identity")
        if encoding.lower() != b"identity":
            # A few kilobytes of gzip can stand for gigabytes; bodies of this size gain little from it.
            raise HTTPException(415, f"content-encoding {encoding[:40]!r} is not taken; send the body as it is")
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > bytes_max:
            raise _too_big(bytes_max)
        try:
            async with asyncio.timeout(self._admission.body_timeout_s):
                return await self._collect(receive, bytes_max)
        except TimeoutError:
            raise HTTPException(408, f"the body was not sent in {self._admission.body_timeout_s:g} s") from None

    async def _collect(self, receive: Receive, bytes_max: int) -> bytes:
        chunks: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise DisconnectedError
            chunk: bytes = message.get("body", b"")
            if self._bytes + len(chunk) > bytes_max:
                raise _too_big(bytes_max)
            self._admission.take(len(chunk))
            self._bytes += len(chunk)
            if not message.get("more_body"):
                return b"".join((*chunks, chunk)) if chunks else chunk
            chunks.append(chunk)


def _too_big(bytes_max: int) -> Rejected:
    return Rejected(f"the body has more than {bytes_max} bytes; send smaller messages or batches", Reason.TOO_BIG)
