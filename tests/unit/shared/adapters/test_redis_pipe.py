"""Many callers on one connection to Redis: one write a turn, each its own answer, no answer lost or mixed up."""

import asyncio

import pytest
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from shared.adapters.redis_pipe import Pipe, Script


class _Transport:
    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def abort(self) -> None:
        self._reader.feed_eof()


class _Writer:
    def __init__(self, reader: asyncio.StreamReader, wrote: asyncio.Event) -> None:
        self.transport = _Transport(reader)
        self.written: list[bytes] = []
        self._wrote = wrote

    def write(self, chunk: bytes) -> None:
        self.written.append(chunk)
        self._wrote.set()


class _Connection:
    """What the pipe uses of redis-py's connection; the test is the server."""

    def __init__(self, refused: Exception | None, wrote: asyncio.Event) -> None:
        self._reader = asyncio.StreamReader()
        self._writer = _Writer(self._reader, wrote)
        self.refused = refused

    async def connect(self) -> None:
        if self.refused is not None:
            raise self.refused

    async def disconnect(self, nowait: bool) -> None:
        assert nowait

    def answer(self, raw: bytes) -> None:
        self._reader.feed_data(raw)


class _Server:
    def __init__(self, timeout_s: float = 5.0) -> None:
        self.connections: list[_Connection] = []
        self.refused: Exception | None = None
        self.pipe = Pipe(self._make, timeout_s)
        self.wrote = asyncio.Event()

    def _make(self) -> _Connection:
        made = _Connection(self.refused, self.wrote)
        self.connections.append(made)
        return made

    @property
    def written(self) -> list[bytes]:
        return self.connections[-1]._writer.written

    async def asked(self, *commands: bytes) -> "list[asyncio.Task[object]]":
        """Asks in one turn; returns once everything has been written."""
        asking: list[asyncio.Task[object]] = [asyncio.create_task(self.pipe.call(command)) for command in commands]
        await self.written_to()
        return asking

    async def written_to(self) -> None:
        """Returns with the next write."""
        async with asyncio.timeout(20):
            await self.wrote.wait()
        self.wrote.clear()


async def test_what_is_asked_in_one_turn_leaves_in_one_write_and_each_gets_its_own_answer() -> None:
    server = _Server()

    first, second, third = await server.asked(b"a", b"b", b"c")
    server.connections[0].answer(b":1\r\n:2")
    server.connections[0].answer(b"\r\n$1\r\nx\r\n")
    answers = await asyncio.gather(first, second, third)
    await server.pipe.close()

    assert [b"abc"] == server.written
    assert [1, 2, b"x"] == list(answers)


async def test_an_error_is_for_its_own_call_only() -> None:
    server = _Server()

    wrong, right = await server.asked(b"a", b"b")
    server.connections[0].answer(b"-ERR no\r\n+OK\r\n")

    with pytest.raises(ResponseError, match="no"):
        await wrong
    assert b"OK" == await right
    await server.pipe.close()


async def test_a_cancelled_call_does_not_shift_the_answers_of_others() -> None:
    server = _Server()

    cancelled, other = await server.asked(b"a", b"b")
    cancelled.cancel()
    await asyncio.wait({cancelled})
    server.connections[0].answer(b":1\r\n:2\r\n")

    assert 2 == await other
    await server.pipe.close()


async def test_a_closed_connection_fails_all_that_waits_and_the_next_call_opens_another() -> None:
    server = _Server()
    waiting = await server.asked(b"a", b"b")

    server.connections[0]._reader.feed_eof()
    failed = await asyncio.gather(*waiting, return_exceptions=True)
    (again,) = await server.asked(b"c")
    server.connections[1].answer(b":3\r\n")

    assert [ConnectionError, ConnectionError] == [type(error) for error in failed]
    assert 3 == await again
    await server.pipe.close()


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    server = _Server(timeout_s=0.05)

    (asked,) = await server.asked(b"a")

    with pytest.raises(TimeoutError):
        await asked
    await server.pipe.close()


async def test_a_server_that_cannot_be_reached_fails_what_waits() -> None:
    server = _Server()
    server.refused = ConnectionError("Connect call failed")

    with pytest.raises(ConnectionError, match="Connect call failed"):
        await server.pipe.call(b"a")


async def test_a_closed_pipe_leaves_nobody_waiting() -> None:
    server = _Server()
    (asked,) = await server.asked(b"a")

    await server.pipe.close()

    with pytest.raises(ConnectionError):
        await asked


async def test_a_script_that_the_server_does_not_know_is_sent_as_text() -> None:
    server = _Server()
    script = Script(server.pipe, "return 7")

    calling = asyncio.create_task(script(keys=["k"], args=[1]))
    await server.written_to()
    server.connections[0].answer(b"-NOSCRIPT No matching script\r\n")
    await server.written_to()
    server.connections[0].answer(b":7\r\n")

    assert 7 == await calling
    assert b"EVALSHA" in server.written[0]
    assert b"return 7" in server.written[1]
    await server.pipe.close()
