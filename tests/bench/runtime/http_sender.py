"""The HTTP load generator, a process of its own: `python -m tests.bench.runtime.http_sender JOB_JSON`.

Raw connections that stay open, one request at a time on each, requests encoded beforehand: it must not be what is
measured. It says "ready", begins at a line on its standard input, and writes an `Answers` file. Requests are due at a
steady rate whatever the answers do; one that finds no free connection waits, and `late_ms` tells how long.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import uvloop

_SLICE_S = 0.001
_LIMIT_S = 20.0
_TAKEN = b'"xactionId"'
"""Stands once in an answer for each message that is durable."""


@dataclass(frozen=True)
class Job:
    """What to send: `bodies` is a msgpack file of byte strings, `rate` is in requests per second."""

    host: str
    port: int
    path: str
    bodies: str
    rate: float
    connections: int
    answers: str


class Answers(msgspec.Struct):
    """What came of it, by request in order. `sent_us`: just before it was written (µs since the epoch); `answered_us`:
    when its answer had been read, 0 if it never came. `taken` counts messages confirmed in 2xx answers."""

    sent_us: list[int]
    answered_us: list[int]
    late_ms: list[float]
    statuses: dict[int, int]
    taken: int
    cpu_s: float
    seconds: float


class _Load:
    """The run: what is due, which connections are free, what was answered."""

    def __init__(self, job: Job) -> None:
        self.job = job
        head = f"POST {job.path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: "
        bodies = msgspec.msgpack.decode(Path(job.bodies).read_bytes(), type=list[bytes])
        self.requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
        self.sent_us = [0] * len(bodies)
        self.answered_us = [0] * len(bodies)
        self.late_ms = [0.0] * len(bodies)
        self.statuses: Counter[int] = Counter()
        self.taken = self.answered = self.sent = 0
        self.free: deque[_Connection] = deque()
        self._started = 0.0

    async def run(self) -> Answers:
        loop, count, rate = asyncio.get_running_loop(), len(self.requests), self.job.rate
        cpu = time.process_time()
        self._started = loop.time()
        limit = self._started + count / rate + _LIMIT_S
        while self.answered < count and loop.time() < limit:
            self.send_due()
            await asyncio.sleep(_SLICE_S)
        seconds = loop.time() - self._started
        return Answers(
            self.sent_us,
            self.answered_us,
            self.late_ms,
            dict(self.statuses),
            self.taken,
            time.process_time() - cpu,
            seconds,
        )

    def send_due(self) -> None:
        elapsed = asyncio.get_running_loop().time() - self._started
        due = min(len(self.requests), int(elapsed * self.job.rate) + 1)
        while self.sent < due and self.free:
            number, self.sent = self.sent, self.sent + 1
            self.late_ms[number] = (elapsed - number / self.job.rate) * 1_000
            self.free.popleft().send(number, self.requests[number])


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._number = 0
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by inheritance
        self._load.free.append(self)

    def send(self, number: int, request: bytes) -> None:
        assert self._transport is not None
        self._number = number
        self._load.sent_us[number] = time.time_ns() // 1_000
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        load, status = self._load, int(head[9:12])
        load.answered_us[self._number] = time.time_ns() // 1_000
        load.statuses[status] += 1
        load.taken += body.count(_TAKEN) if status < 300 else 0
        load.answered += 1
        self._received = b""
        load.free.append(self)
        if load.sent < len(load.requests):
            load.send_due()

    def connection_lost(self, _: Exception | None) -> None:
        if self in self._load.free:
            self._load.free.remove(self)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


async def _main(job: Job) -> Answers:
    load = _Load(job)
    loop = asyncio.get_running_loop()
    for _ in range(job.connections):
        await loop.create_connection(lambda: _Connection(load), job.host, job.port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    return await load.run()


def main(arguments: Sequence[str]) -> None:
    job = Job(**json.loads(arguments[0]))
    Path(job.answers).write_bytes(msgspec.msgpack.encode(uvloop.run(_main(job))))


if __name__ == "__main__":
    main(sys.argv[1:])
