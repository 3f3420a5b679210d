"""What a look into Redis tells of deadlines: those that are due, a bounded number of them, and when to look again."""

from collections.abc import AsyncIterator, Mapping
from random import Random
from uuid import uuid4

import pytest

from shared.adapters.redis import RedisClient
from shared.kernel.retry import Backoff
from shared.runtime.fence import Commit, Fence
from tests.support.platform import EmbeddedPlatform

pytestmark = pytest.mark.platform

INSTANTS: Mapping[str, int | None] = {f"p{number:03}": 10 * number for number in range(1, 101)}
"""A hundred profiles, due at 10, 20, ... 1000."""


@pytest.fixture
async def fence(platform: EmbeddedPlatform) -> AsyncIterator[Fence]:
    redis = RedisClient(platform.redis_url)
    fence = Fence(redis, uuid4().hex[:8], "counting", 0, "owner", Backoff(), Random(0))
    await fence.claim()
    await fence.apply(Commit(-1, 0, 0, (), INSTANTS, ()))
    yield fence
    await redis.client.aclose()


@pytest.mark.parametrize(
    ("until", "limit", "keys", "next_at"),
    [
        (9, 5, [], 10),
        (10, 5, ["p001"], 20),
        (35, 5, ["p001", "p002", "p003"], 40),
        (1_000, 5, ["p001", "p002", "p003", "p004", "p005"], 60),
        (999, 99, [*INSTANTS][:99], 1_000),
        (1_000, 100, [*INSTANTS], None),
        (1_000, 200, [*INSTANTS], None),
    ],
)
async def test_a_look_tells_what_is_due_and_when_to_look_again(
    fence: Fence, until: int, limit: int, keys: list[str], next_at: int | None
) -> None:
    due, following = await fence.due(until, limit)

    assert keys == [one.key for one in due]
    assert next_at == following


@pytest.mark.parametrize(
    ("decided", "keys", "next_at"),
    [
        ({"p001": None}, ["p002"], 30),
        ({"p001": 500}, ["p002"], 30),
        ({"p050": 5}, ["p050", "p001", "p002"], 30),
        ({"new": 25}, ["p001", "p002"], 25),
        ({"p001": None, "p002": 27}, [], 27),
        # The next one has been put off, which is noticed when its old instant comes.
        ({"p001": None, "p002": None, "p003": 35}, [], 30),
    ],
)
async def test_what_batches_under_way_have_decided_counts_and_not_what_redis_still_holds(
    fence: Fence, decided: Mapping[str, int | None], keys: list[str], next_at: int
) -> None:
    due, following = await fence.due(20, 50, decided)

    assert keys == [one.key for one in due]
    assert next_at == following
