"""A stock Faust worker, written as its user guide shows, that loses events in five ways: the contrast to our runtime.

As a program (`python -m tests.support.stock_faust BOOTSTRAP PREFIX FOLDER`) it runs five agents, one per case, each
on a topic of its own with one partition; what an agent has finished is appended to `FOLDER/<case>`. Values are the
events' numbers as JSON. It runs until it is killed.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
from mode import Worker

CASES = ("raises", "take", "concurrency", "send", "awaited_send")
POISON = 7
"""The event on which an agent of the first two cases raises, once."""

_TOO_BIG = b"x" * 20_000
OUTPUT_BYTES_MAX = 10_000
"""`max.message.bytes` of the output topics: what `send` and `awaited_send` produce is larger."""

Done = Callable[[str, int], None]


def source(prefix: str, case: str) -> str:
    return f"{prefix}stock-{case}"


def output(prefix: str, case: str) -> str:
    return f"{prefix}stock-{case}-out"


def group(prefix: str) -> str:
    return f"{prefix}stock"


def stock_app(bootstrap_servers: str, prefix: str) -> faust.App:
    """An app with Faust's defaults, but for what would make topics or wait half a minute at the start."""
    return faust.App(
        group(prefix),
        broker=f"kafka://{bootstrap_servers}",
        store="memory://",
        value_serializer="json",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=2.0,
        broker_request_timeout=30.0,
        broker_commit_interval=0.5,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
    )


def attach(app: faust.App, prefix: str, done: Done) -> None:
    """Declares the five agents."""
    _attach_raising(app, prefix, done)
    _attach_waiting(app, prefix, done)
    _attach_sending(app, prefix, done)


def _attach_raising(app: faust.App, prefix: str, done: Done) -> None:
    raised: set[str] = set()

    def poison(case: str, number: int) -> None:
        if number == POISON and case not in raised:
            raised.add(case)
            raise ConnectionError("a database that was away for a moment")

    @app.agent(app.topic(source(prefix, "raises")), name="raises")
    async def raises(stream: Any) -> None:
        async for number in stream:
            poison("raises", number)
            done("raises", number)

    @app.agent(app.topic(source(prefix, "take")), name="take")
    async def take(stream: Any) -> None:
        async for numbers in stream.take(50, within=1.0):
            for number in numbers:
                poison("take", number)
            for number in numbers:
                done("take", number)


def _attach_waiting(app: faust.App, prefix: str, done: Done) -> None:
    @app.agent(app.topic(source(prefix, "concurrency")), concurrency=2, name="concurrency")
    async def concurrency(stream: Any) -> None:
        async for number in stream:
            if number == 0:
                await asyncio.Event().wait()  # a slow call that has not come back when the worker is killed
            done("concurrency", number)


def _attach_sending(app: faust.App, prefix: str, done: Done) -> None:
    unwatched = app.topic(output(prefix, "send"), value_serializer="raw")
    awaited = app.topic(output(prefix, "awaited_send"), value_serializer="raw")

    @app.agent(app.topic(source(prefix, "send")), name="send")
    async def send(stream: Any) -> None:
        async for number in stream:
            await unwatched.send(value=_TOO_BIG)
            done("send", number)

    @app.agent(app.topic(source(prefix, "awaited_send")), name="awaited_send")
    async def awaited_send(stream: Any) -> None:
        async for number in stream:
            await (await awaited.send(value=_TOO_BIG))
            done("awaited_send", number)


def main() -> None:
    bootstrap_servers, prefix, folder = sys.argv[1:]

    def done(case: str, number: int) -> None:
        with (Path(folder) / case).open("a") as file:
            file.write(f"{number}\n")

    app = stock_app(bootstrap_servers, prefix)
    attach(app, prefix, done)
    app.finalize()
    Worker(app, loglevel="error").execute_from_commandline()


if __name__ == "__main__":
    main()
