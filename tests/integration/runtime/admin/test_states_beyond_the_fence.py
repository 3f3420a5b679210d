"""States that lie beyond their fence, as a copy of running workers holds them, keep telling what they contain."""

import pytest

from shared.contracts import redis_keys
from shared.contracts.topics import KEYED_PARTITIONS
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.state import unframe
from tests.integration.runtime.admin.conftest import World, expected

pytestmark = pytest.mark.platform

TOTAL, BACK = 800, 20


async def offsets(space: Keyspace) -> dict[bytes, int]:
    """The offset that each state says it contains everything up to."""
    return {entry.key: unframe(entry.framed or b"")[0] async for _, entries in space.states() for entry in entries}


async def test_a_deadline_fired_on_a_state_beyond_the_fence_takes_nothing_from_what_it_contains(world: World) -> None:
    """All is applied, then fences go back by some records; deadlines fire before those records are read again."""
    space = world.space()
    rebuild = world.rebuild(space, None)
    await world.produce(range(TOTAL))
    await rebuild.catch_up()
    before = await offsets(space)
    for fence in await space.fences():
        key = redis_keys.fence(space.namespace, space.stage, fence.partition)
        await world.redis.client.hset(key, "offset", fence.offset - BACK)

    waiting = [await world.redis.client.zcard(redis_keys.deadlines(*where(space, p))) for p in range(KEYED_PARTITIONS)]
    for partition in range(KEYED_PARTITIONS):
        await rebuild.align(partition)
    left = [await world.redis.client.zcard(redis_keys.deadlines(*where(space, p))) for p in range(KEYED_PARTITIONS)]
    after = await offsets(space)
    again = await rebuild.catch_up()

    assert 0 < min(waiting)
    assert [0] * KEYED_PARTITIONS == left, "every deadline has fired"
    assert before == after
    assert BACK * KEYED_PARTITIONS == again
    assert expected(TOTAL) == await world.counts(space)


def where(space: Keyspace, partition: int) -> tuple[str, str, int]:
    return space.namespace, space.stage, partition
