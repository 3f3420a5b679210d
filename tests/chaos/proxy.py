"""A slow, unreliable network in front of Redis and Kafka: `python -m tests.chaos.proxy LISTEN:TARGET ...`.

Commands come as JSON lines on standard input: {"listen": port, "mode": "pass" | "latency" | "stall" | "reset" |
"half_close"}. `latency` holds every piece back for 20 ms; `stall` lets nothing through until the next command; `reset`
breaks all connections at once; `half_close` ends what servers say on them while clients may still talk. Ends with
its standard input.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import uvloop

_CHUNK = 256 * 1024
_LATENCY_S = 0.02


@dataclass
class Proxy:
    """One listening port and the connections through it."""

    listen: int
    target: int
    latency_s: float = 0.0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    clients: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self.open.set()
        await asyncio.start_server(self._serve, "127.0.0.1", self.listen, limit=_CHUNK)

    def command(self, mode: str) -> None:
        """Takes up a mode; `reset` and `half_close` hit the connections of this moment, then all passes again."""
        self.latency_s = _LATENCY_S if mode == "latency" else 0.0
        if mode == "stall":
            self.open.clear()
        else:
            self.open.set()
        for client in list(self.clients):
            if mode == "reset":
                _reset(client)
            elif mode == "half_close" and client.can_write_eof():
                with contextlib.suppress(OSError):
                    client.write_eof()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target, limit=_CHUNK)
        except OSError:
            _reset(writer)
            return
        self.clients.add(writer)
        pumps = [asyncio.create_task(self._pump(reader, to_writer)), asyncio.create_task(self._pump(to_reader, writer))]
        try:
            # What a dead client has left behind must not reach the server later: both ways end together.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self.clients.discard(writer)
            for one in (writer, to_writer):
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_CHUNK):
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                await self.open.wait()
                writer.write(piece)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _run(pairs: Sequence[str]) -> None:
    proxies = {}
    for pair in pairs:
        listen, target = map(int, pair.split(":"))
        proxies[listen] = Proxy(listen, target)
        await proxies[listen].start()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await lines.readline():
        said = json.loads(line)
        proxies[said["listen"]].command(said["mode"])


if __name__ == "__main__":
    uvloop.run(_run(sys.argv[1:]))
