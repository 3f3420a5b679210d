"""TLS in front of a server that speaks none, such as the bundled Redis: certificates are made for the test."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

_CHUNK = 65_536


@dataclass(frozen=True)
class TlsProxy:
    """`port` answers in TLS on this machine; `cafile` is the root that signed its certificate."""

    port: int
    cafile: Path

    @classmethod
    @asynccontextmanager
    async def before(cls, host: str, port: int, folder: Path) -> AsyncIterator["TlsProxy"]:
        """Passes everything on to `host:port` for the block."""
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(folder / "proxy-ca.pem"))
        running: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            running.add(task)
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection(host, port)
                async with asyncio.TaskGroup() as both:
                    both.create_task(_pass(reader, back))
                    both.create_task(_pass(there, writer))
            running.discard(task)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        try:
            yield cls(server.sockets[0].getsockname()[1], folder / "proxy-ca.pem")
        finally:
            server.close()
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()
