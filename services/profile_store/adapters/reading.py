"""How both readers turn Redis trouble into an answer."""

from collections.abc import Awaitable
from typing import TypeVar

from shared.adapters.redis import RedisError
from shared.kernel.errors import Retryable

T = TypeVar("T")


async def read(answer: Awaitable[T], what: str) -> T:
    """Awaits an answer of Redis. Raises Retryable naming `what` when there is none."""
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise Retryable(f"{what} cannot be read from Redis: {error}") from error
