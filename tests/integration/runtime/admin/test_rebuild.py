"""State lost or doubted is made again from the log: by the workers themselves, or beside them, then switched to."""

import asyncio

import pytest

from shared.contracts import redis_keys
from shared.contracts.topics import KEYED_PARTITIONS
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.admin.digest import Digests, Side, canonical_form, digest
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.admin.switch import switch
from shared.runtime.namespace import active_namespace
from tests.integration.runtime.admin.conftest import World, exit_code, expected
from tests.support.counting import Count, CountCodec

pytestmark = pytest.mark.platform

CANONICAL = canonical_form(CountCodec())


async def digests(space: Keyspace) -> Digests:
    return await digest(Side(space, "counting"), KEYED_PARTITIONS, CANONICAL)


async def test_a_redis_lost_whole_under_a_worker_is_made_again_to_the_same_digest(world: World) -> None:
    """Everything vanishes at once: the worker is fenced out, its successor reads from offset 0, outputs repeat."""
    with world.worker() as process:
        await world.produce(range(3_000))
        await world.applied(world.space(), 3_000)
        before = await digests(world.space())
        await world.space().drop()
        await world.produce(range(3_000, 3_001))
        code = await exit_code(process)
    with world.worker():
        await world.applied(world.space(), 3_001)
    later = world.elsewhere()
    await world.rebuild(later, None).catch_up()
    outputs = await world.outputs()

    assert code in (ExitCode.FENCED, ExitCode.GAP)
    assert expected(3_001) == await world.counts(world.space())
    assert await digests(later) == await digests(world.space())
    assert before.counts == (await digests(world.space())).counts
    assert len(outputs) > 3_001
    assert {(key, n) for key, (events, _) in expected(3_001).items() for n in range(1, events + 1)} == set(outputs)


async def test_workers_go_over_to_a_rebuilt_namespace_by_themselves_and_every_output_is_there(world: World) -> None:
    total, green = 9_000, world.elsewhere()
    rebuild = world.rebuild(green, world.settings.redis_namespace)
    with world.worker() as process:
        writing = asyncio.create_task(world.produce(range(6_000)))
        await world.applied(world.space(), 2_000)
        await rebuild.catch_up()
        switched = await switch(world.space(), rebuild, comparing=True)
        blue = await digests(world.space())
        await writing
        await world.produce(range(6_000, total))
        code = await exit_code(process)
    with world.worker():
        await world.applied(green, total)
    actives = {
        await active_namespace(world.redis.client, world.settings.redis_namespace, "counting", p) for p in range(8)
    }
    outputs = await world.outputs()

    assert ExitCode.FENCED == code
    assert list(range(8)) == list(switched.partitions)
    assert {green.namespace} == actives
    assert expected(total) == await world.counts(green)
    assert blue == await digests(world.space()), "the old namespace is left as it was"
    assert {(key, n) for key, (events, _) in expected(total).items() for n in range(1, events + 1)} == set(outputs)


async def test_a_switch_to_a_namespace_that_differs_changes_nothing_and_names_the_profile(world: World) -> None:
    green = world.elsewhere()
    await world.produce(range(1_000))
    await world.rebuild(world.space(), None).catch_up()
    rebuild = world.rebuild(green, world.settings.redis_namespace)
    await rebuild.catch_up()
    partition, entries = await anext(green.states())
    wrong = (entries[0].framed or b"")[:8] + CountCodec().encode(Count(99))
    await world.redis.client.set(
        redis_keys.state(green.namespace, "counting", partition, entries[0].key.decode()), wrong
    )

    switched = await switch(world.space(), rebuild, comparing=True)

    assert () == switched.partitions
    assert switched.comparison is not None
    assert [(entries[0].key.decode(), "state differs")] == [(d.name, d.what) for d in switched.comparison.first]
    assert "" == (await world.space().fence(0)).moved


async def test_a_rebuild_stopped_anywhere_goes_on_from_its_fence(world: World) -> None:
    green = world.elsewhere()
    await world.produce(range(6_000))
    await world.rebuild(world.space(), None).catch_up()
    rebuild = world.rebuild(green, world.settings.redis_namespace)
    rows: list[int] = []

    def stop(done: int, _: int) -> None:
        if done > 2_000:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await rebuild.catch_up(stop)
    half = sum(fence.offset + 1 for fence in await green.fences())
    rows.append(await rebuild.catch_up())

    assert 0 < half < 6_000
    assert [6_000 - half] == rows
    assert await digests(world.space()) == await digests(green)


async def test_workers_namespace_itself_is_never_rebuilt_into(world: World) -> None:
    with pytest.raises(Fatal, match="name another namespace"):
        await world.rebuild(world.space(), world.settings.redis_namespace).catch_up()
