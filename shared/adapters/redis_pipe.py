"""One connection to Redis that many coroutines share, for scripts that are called often and answer at once.

What is called within one turn of the event loop leaves in one write, and what is answered together is read together:
the system call, not the script, is what a small micro-batch costs, and coroutines that were woken by one answer go on
in step, so that their next calls share a write again. There is no transaction in it: each script stands for itself.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import hiredis
from redis._parsers import BaseParser
from redis.exceptions import ConnectionError, NoScriptError, RedisError, TimeoutError

_READ_BYTES = 1 << 18


class Pipe:
    """Sends packed commands in the order given and hands out their answers in that order.

    `make_connection` returns a connection of redis-py that is not open yet. A connection that breaks fails all that
    waits: whether it was carried out is unknown then. The next command opens another. A connection that gives no
    answer for `timeout_s` counts as broken.
    """

    def __init__(self, make_connection: Callable[[], Any], timeout_s: float) -> None:
        self._make = make_connection
        self._timeout_s = timeout_s
        self._connection: Any = None
        self._unsent: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._sent: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._is_due = False
        self._work: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def call(self, packed: bytes) -> Any:
        """Sends one command and returns its answer. Raises RedisError, as redis-py does, but repeats nothing."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._unsent.append((packed, answer))
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._flush)
        return await answer

    def _flush(self) -> None:
        self._is_due = False
        if self._connection is not None:
            self._write()
        elif self._work is None:
            self._work = asyncio.create_task(self._live(), name="redis-pipe")

    def _write(self) -> None:
        unsent = [(packed, answer) for packed, answer in self._unsent if not answer.done()]
        self._unsent = []
        if not unsent:
            return
        now = time.monotonic()
        self._sent.extend([(now, answer) for _, answer in unsent])
        try:
            self._connection._writer.write(b"".join([packed for packed, _ in unsent]))
        except (OSError, RuntimeError) as error:  # the latter is uvloop's, for a transport that a reset has closed
            self._fail(ConnectionError(f"Error while writing to socket: {error}"))

    async def _live(self) -> None:
        """Opens a connection, sends what waits, and hands out answers until the connection breaks."""
        connection: Any = None
        try:
            connection = self._make()
            async with asyncio.timeout(self._timeout_s):
                await connection.connect()
            self._connection = connection
            self._write()
            await self._read(connection)
        except (OSError, RuntimeError, hiredis.HiredisError) as error:  # its own time limit is an OSError too
            self._fail(ConnectionError(f"Error while talking to Redis: {error!r}"))
        except RedisError as error:
            self._fail(error)
        finally:
            self._fail(ConnectionError("Connection closed"))
            self._work = None
            if connection is not None:
                await connection.disconnect(nowait=True)

    async def _read(self, connection: Any) -> None:
        """Raises when the connection ends, as it does when the oldest command has had no answer for too long."""
        loop = asyncio.get_running_loop()
        reader = hiredis.Reader(replyError=BaseParser.parse_error)
        self._watch = loop.call_later(self._timeout_s, self._look, connection)
        while True:
            data = await connection._reader.read(_READ_BYTES)
            if not data:
                raise ConnectionError("Connection closed by server.")
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                if not isinstance(reply, hiredis.PushNotification):
                    _settle(self._sent.popleft()[1], reply)

    def _look(self, connection: Any) -> None:
        now = time.monotonic()
        late_at = (self._sent[0][0] if self._sent else now) + self._timeout_s
        if late_at <= now:
            self._fail(TimeoutError("Timeout reading from socket"))
        else:
            self._watch = asyncio.get_running_loop().call_later(late_at - now, self._look, connection)

    def _fail(self, error: RedisError) -> None:
        """Drops the connection; all that was asked and not answered gets `error`."""
        connection, self._connection = self._connection, None
        if connection is not None and connection._writer is not None:
            connection._writer.transport.abort()  # a plain close would wait for a peer that does not read
        if self._watch is not None:
            self._watch.cancel()
        waiting = [answer for _, answer in self._sent] + [answer for _, answer in self._unsent]
        self._sent, self._unsent = deque(), []
        for answer in waiting:
            _settle(answer, error)

    async def close(self) -> None:
        """Ends the connection; a later command would open another."""
        work = self._work
        if work is not None:
            work.cancel()
            await asyncio.wait({work})


def _settle(answer: "asyncio.Future[Any]", reply: Any) -> None:
    if answer.done():  # whoever asked was cancelled
        return
    if isinstance(reply, Exception):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)


class Script:
    """A script that runs through a pipe. Sent by its digest, and as text to a server that does not know it."""

    def __init__(self, pipe: Pipe, text: str | bytes) -> None:
        self._pipe = pipe
        self._text = text.encode() if isinstance(text, str) else text
        self.sha = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Any:
        """Runs it. Raises RedisError; whether it ran is unknown after a ConnectionError or TimeoutError."""
        try:
            return await self._pipe.call(hiredis.pack_command(("EVALSHA", self.sha, len(keys), *keys, *args)))
        except NoScriptError:
            return await self._pipe.call(hiredis.pack_command(("EVAL", self._text, len(keys), *keys, *args)))
