"""The control topic `training-requests`: an agent that records what is asked and returns."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import faust

from services.training.handlers import Training
from shared.contracts.topics import TRAINING_REQUESTS
from shared.kernel.errors import Rejected
from shared.runtime.logging import get_logger

_RETRY_S = 1.0

Bury = Callable[[str, bytes, Rejected], Awaitable[None]]


def attach(app: faust.App, prefix: str, take: Callable[[str, bytes], Awaitable[None]]) -> None:
    """Adds the agent. `take` must not raise: an exception would acknowledge the request and lose it."""
    topic = app.topic(prefix + TRAINING_REQUESTS.name, key_type=bytes, value_type=bytes, value_serializer="raw")

    @app.agent(topic, name="training.requests")
    async def requests(stream: Any) -> None:
        async for event in stream.events():
            await take((event.key or b"").decode("utf-8", "replace"), event.value or b"")


def taker(training: Training, bury: Bury, count: Callable[[str], None]) -> Callable[[str, bytes], Awaitable[None]]:
    """Returns `take`: records a request, or buries what is none; tries again until one of the two is durable."""
    log = get_logger("training")

    async def take(key: str, raw: bytes) -> None:
        while True:
            try:
                count(await _take_once(training, bury, key, raw))
                return
            except Exception as error:  # SQL or Kafka is down: the request waits, it is not skipped
                log.warning("request_not_recorded", error=repr(error), retry_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)

    return take


async def _take_once(training: Training, bury: Bury, key: str, raw: bytes) -> str:
    try:
        request = TRAINING_REQUESTS.codec.decode(raw)
    except Rejected as error:
        await bury(key, raw, error)
        return "refused"
    return "accepted" if await training.accept(request) else "repeated"
