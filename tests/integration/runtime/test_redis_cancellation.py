"""Who is cancelled while talking to Redis ends, also when the cancellation comes between two calls."""

import asyncio

import pytest

from shared.adapters.redis import RedisClient
from tests.support.platform import EmbeddedPlatform

pytestmark = pytest.mark.platform


@pytest.mark.parametrize("calls", [1, 4])
async def test_a_cancellation_that_comes_between_two_calls_is_heard_by_the_next(
    platform: EmbeddedPlatform, calls: int
) -> None:
    redis = RedisClient(platform.redis_url)

    async def work() -> None:
        for number in range(200):
            await redis.client.get("nothing")
            if number + 1 == calls:
                current = asyncio.current_task()
                assert current is not None
                current.cancel()  # as Ctrl-C does, and a hand-over of the partition

    working = asyncio.create_task(work())
    await asyncio.wait({working})
    still_answers = await redis.client.ping()
    await redis.client.aclose()

    assert working.cancelled()
    assert still_answers
