"""Request bodies: counted as they arrive, so that no client can make the process hold more than its share."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request

from services.ingestion.metrics import IngestionMetrics
from services.ingestion.settings import Settings
from shared.kernel.errors import Reason, Rejected, Retryable


class Admission:
    """Bounds the bytes of all collection requests that are being handled."""

    def __init__(self, settings: Settings, metrics: IngestionMetrics) -> None:
        self._bytes_max = settings.in_flight_bytes_max
        self._gauge = metrics.in_flight_bytes
        self._bytes = 0
        self.body_timeout_s = settings.body_timeout_s

    @contextmanager
    def enter(self) -> Iterator["Share"]:
        """Gives back what the request held when the block ends."""
        share = Share(self)
        try:
            yield share
        finally:
            self._bytes -= share.bytes
            self._gauge.set(self._bytes)

    def take(self, size: int) -> None:
        """Raises Retryable when all requests together would hold too much."""
        if self._bytes + size > self._bytes_max:
            raise Retryable(f"{self._bytes} bytes of collection requests are being handled, too many for more")
        self._bytes += size
        self._gauge.set(self._bytes)


class Share:
    """What one request holds."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.bytes = 0

    async def read(self, request: Request, bytes_max: int) -> bytes:
        """Returns the body. Raises Rejected (`too_big`) as soon as it is too long, however its length was announced."""
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            # A few kilobytes of gzip can stand for gigabytes; bodies of this size gain little from it.
            raise HTTPException(415, f"content-encoding {encoding[:40]!r} is not taken; send the body as it is")
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > bytes_max:
            raise _too_big(bytes_max)
        try:
            async with asyncio.timeout(self._admission.body_timeout_s):
                return await self._collect(request, bytes_max)
        except TimeoutError:
            raise HTTPException(408, f"the body was not sent in {self._admission.body_timeout_s:g} s") from None

    async def _collect(self, request: Request, bytes_max: int) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            if len(body) + len(chunk) > bytes_max:
                raise _too_big(bytes_max)
            self._admission.take(len(chunk))
            self.bytes += len(chunk)
            body += chunk
        return bytes(body)


def _too_big(bytes_max: int) -> Rejected:
    return Rejected(f"the body has more than {bytes_max} bytes; send smaller messages or batches", Reason.TOO_BIG)
