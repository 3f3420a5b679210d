"""The way to Redis and back, as redis-py shows it: each call may be lost, late, doubled or refused."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from tests.simulation.loop import WORLD, SimLoop
from tests.simulation.redis_server import RedisServer, as_bytes

Call = Callable[[], Any]

TIMEOUT_S = 0.8


class RedisNetwork:
    """Carries calls. `fate(n)` names what happens to the n-th call; None: nothing."""

    def __init__(
        self,
        loop: SimLoop,
        server: RedisServer,
        delay_s: Callable[[], float],
        fate: Callable[[int], str | None],
        say: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._server = server
        self._delay_s = delay_s
        self._fate = fate
        self._say = say
        self._calls = 0

    async def call(self, name: str, execute: Call) -> Any:
        """Sends one request and waits for its answer, or for the error its fate brings."""
        self._calls += 1
        answer: asyncio.Future[Any] = self._loop.create_future()
        fate = self._fate(self._calls)
        if fate is not None:
            self._say(f"Redis call {self._calls} ({name}): {fate}")
        delay = self._delay_s()
        if fate == "late":
            # The client has long given up and asked again when this one arrives.
            self._later(TIMEOUT_S, _fail, answer, TimeoutError("no answer in time"))
            delay += TIMEOUT_S * 2
        if fate == "request lost":
            self._later(TIMEOUT_S, _fail, answer, TimeoutError("no answer in time"))
        elif fate == "refused":
            self._later(delay, _fail, answer, ResponseError("MISCONF Redis cannot write its append-only log"))
        else:
            self._later(delay, self._arrive, execute, answer, fate, self._server.connections)
        if fate == "doubled":
            self._later(delay + self._delay_s(), self._arrive, execute, answer, None, self._server.connections)
        return await answer

    def _arrive(self, execute: Call, answer: "asyncio.Future[Any]", fate: str | None, connection: int) -> None:
        if not self._server.up or (connection != self._server.connections and fate != "late"):
            _fail(answer, ConnectionError("connection lost"))
            return
        result = execute()
        if fate in ("response lost", "doubled"):
            self._later(TIMEOUT_S, _fail, answer, TimeoutError("no answer in time"))
        else:
            self._later(self._delay_s(), self._answer, answer, result, connection)

    def _answer(self, answer: "asyncio.Future[Any]", result: Any, connection: int) -> None:
        if connection != self._server.connections:
            _fail(answer, ConnectionError("connection lost"))
        elif not answer.done():
            answer.set_result(result)

    def _later(self, delay_s: float, callback: Callable[..., None], *args: Any) -> None:
        self._loop.call_later(delay_s, callback, *args, context=WORLD)


def _fail(answer: "asyncio.Future[Any]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


class SimRedisClient:
    """What the runtime uses of `redis.asyncio.Redis`. `token` tells the server's invariants who calls."""

    def __init__(self, network: RedisNetwork, server: RedisServer, token: str) -> None:
        self._network = network
        self._server = server
        self._token = token.encode()

    @property
    def client(self) -> "SimRedisClient":
        return self

    def register_script(self, text: str | bytes) -> Callable[..., Any]:
        """Returns a callable that runs the script with `keys` and `args`."""
        raw = as_bytes(text)

        async def run(keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Any:
            sent = [key.encode() for key in keys], [arg if arg.__class__ is bytes else as_bytes(arg) for arg in args]
            return await self._network.call("script", lambda: self._server.script(raw, *sent, self._token))

        return run

    async def exists(self, *keys: str) -> Any:
        return await self._command("EXISTS", *keys)

    async def get(self, key: str) -> Any:
        return await self._command("GET", key)

    async def mget(self, keys: Sequence[str]) -> Any:
        return await self._command("MGET", *keys)

    async def hmget(self, key: str, names: Sequence[str]) -> Any:
        return await self._command("HMGET", key, *names)

    async def zrange(self, key: str, first: int, last: int, *, withscores: bool) -> Any:
        assert withscores
        rows = await self._command("ZRANGE", key, first, last, "WITHSCORES")
        return [(member, float(score)) for member, score in zip(rows[::2], rows[1::2], strict=True)]

    async def _command(self, *words: Any) -> Any:
        return await self._network.call(words[0], lambda: self._server.command(*words))
