"""Copies, digests and restores on a Redis Cluster: the same as on one Redis, and never a wrong copy called whole."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from deploy.local import topics
from services.segmentation.app import rebuild_stage
from shared.cli.__main__ import main
from shared.contracts import redis_keys
from shared.contracts.topics import FEATURE_DEFINITIONS, KEYED_PARTITIONS, SEGMENT_DEFINITIONS, physical_topics
from shared.kernel.errors import ExitCode, Fatal, Retryable
from shared.runtime.admin.backup import back_up, restore
from shared.runtime.admin.digest import Digests, Side, canonical_form, compare, digest
from shared.runtime.admin.fsnap import SnapshotFile
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.admin.rebuild import Rebuild
from tests.integration.runtime.admin.conftest import Interrupted, World, connected, expected, files
from tests.support.counting import CountCodec
from tests.support.platform import EmbeddedPlatform
from tests.support.redis_cluster import MASTERS, LocalCluster

pytestmark = pytest.mark.platform

CANONICAL = canonical_form(CountCodec())
TOTAL = 3_000


@pytest.fixture
async def world(platform: EmbeddedPlatform, cluster: LocalCluster) -> AsyncIterator[World]:
    """Counts of 3,000 events, made by the real partition worker, on the cluster."""
    async with connected(platform, cluster.url) as found:
        await found.produce(range(TOTAL))
        await found.rebuild(found.space(), None).catch_up()
        yield found


def slot_of(space: Keyspace, partition: int) -> int:
    return key_slot(redis_keys.fence(space.namespace, space.stage, partition).encode())


async def digests(space: Keyspace) -> Digests:
    return await digest(Side(space, space.stage), KEYED_PARTITIONS, CANONICAL)


async def test_a_cluster_has_the_digest_of_one_redis_and_copies_go_from_one_to_the_other(
    platform: EmbeddedPlatform, cluster: LocalCluster, world: World, tmp_path: Path
) -> None:
    path, there = tmp_path / "copy.fsnap", world.elsewhere()
    async with connected(platform) as alone:
        single = alone.elsewhere()
        await back_up([world.space()], path, 0)
        await restore(SnapshotFile(path), single)
        await restore(SnapshotFile(path), there)
        found = [await digests(space) for space in (world.space(), single, there)]
        differences = await compare(Side(single, "counting"), world.space(), CANONICAL)
        held = [len(node.client.keys(f"{there.namespace}:*")) for node in cluster.nodes[:MASTERS]]
        dropped = await there.drop()
        emptied = await there.is_empty()
        counts = await alone.counts(single)
        await single.drop()

    assert [found[0]] * 3 == found
    assert 0 == differences.count
    assert expected(TOTAL) == counts
    assert all(count > 0 for count in held), "its keys lie on every master"
    assert sum(held) == dropped
    assert emptied


async def test_a_slot_that_moves_during_a_copy_leaves_no_copy_and_the_next_is_exact(
    cluster: LocalCluster, world: World, tmp_path: Path
) -> None:
    path, space, slot = tmp_path / "copy.fsnap", world.space(), slot_of(world.space(), 3)
    before = await digests(space)

    async def move() -> None:
        there = cluster.nodes.index(cluster.owner(slot))
        await cluster.moved(slot, cluster.nodes[(there + 1) % MASTERS])

    with pytest.raises(Retryable, match="did not stay the same: the server of counting partition"):
        await back_up([Interrupted(space, move)], path, 0)
    left = files(tmp_path)
    await back_up([space], path, 0)
    restored = world.elsewhere()
    await restore(SnapshotFile(path), restored)

    assert [] == left
    assert [before] * 2 == [await digests(space), await digests(restored)]


async def test_a_slot_on_two_nodes_at_once_is_not_copied(cluster: LocalCluster, world: World, tmp_path: Path) -> None:
    space, slot = world.space(), slot_of(world.space(), 5)
    source = cluster.owner(slot)
    target = cluster.nodes[(cluster.nodes.index(source) + 1) % MASTERS]
    target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
    source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

    with pytest.raises(Retryable, match=f"slot {slot} of the Redis Cluster is being moved"):
        await back_up([space], tmp_path / "copy.fsnap", 0)
    with pytest.raises(Retryable, match="is being moved"):
        await digests(space)

    assert [] == files(tmp_path)


async def test_a_master_that_fails_over_during_a_copy_leaves_no_copy(
    cluster: LocalCluster, world: World, tmp_path: Path
) -> None:
    """The replica comes without the tail: fences that were read before say more than its states hold."""
    path, space = tmp_path / "copy.fsnap", world.space()
    await asyncio.to_thread(cluster.cut_replication)
    await world.produce(range(TOTAL, TOTAL + 500))
    await world.rebuild(space, None).catch_up()

    with pytest.raises(Retryable, match="did not stay the same"):
        await back_up([Interrupted(space, lambda: asyncio.to_thread(cluster.promote_replica))], path, 0)
    left = files(tmp_path)
    await back_up([space], path, 1)
    restored = world.elsewhere()
    await restore(SnapshotFile(path), restored)
    await world.rebuild(restored, None).catch_up()

    assert [] == left
    assert expected(TOTAL + 500) == await world.counts(restored), "what the replica lacks is replayed from its fence"


async def test_a_master_that_fails_over_during_a_restore_leaves_no_fence_and_says_what_to_do(
    cluster: LocalCluster, world: World, tmp_path: Path
) -> None:
    path, space = tmp_path / "copy.fsnap", world.elsewhere()
    struck = [(100, cluster.cut_replication), (250, cluster.promote_replica)]
    await back_up([world.space()], path, 0)

    def fail_over(_: str, done: int) -> None:
        if struck and done > struck[0][0]:
            struck.pop(0)[1]()

    with pytest.raises(Fatal, match="is half restored: remove what is there with `freshet state drop") as error:
        await restore(SnapshotFile(path), space, fail_over)
    offsets = [fence.offset for fence in await space.fences()]
    await space.drop()
    await restore(SnapshotFile(path), space)

    assert [] == struck
    assert ExitCode.RETRY == error.value.exit_code
    assert [-1] * KEYED_PARTITIONS == offsets
    assert expected(TOTAL) == await world.counts(space)


async def test_every_command_takes_the_address_of_a_cluster(
    platform: EmbeddedPlatform, cluster: LocalCluster, world: World, tmp_path: Path
) -> None:
    """Segmentation over the same events, without definitions: a state for each profile all the same."""
    prefix, servers = world.settings.topic_prefix, platform.kafka_bootstrap_servers
    wanted = (SEGMENT_DEFINITIONS, FEATURE_DEFINITIONS)
    await topics.create(servers, {name: topic for name, topic in physical_topics(prefix).items() if topic in wanted})
    live = world.space(stage="segmentation")
    await Rebuild(await rebuild_stage(servers, prefix), servers, prefix, world.redis, live, None).catch_up()
    copy = str(tmp_path / "copy.fsnap")

    async def state(command: str, *more: str) -> int:
        where = ["--kafka", servers, "--prefix", prefix, "--redis", cluster.url, "--stage", "segmentation", "--quiet"]
        named = [] if "--namespace" in more else ["--namespace", live.namespace]
        return await asyncio.to_thread(main, ["state", command, *where, *named, *more])

    codes = [
        await state("backup", "--output", copy),
        await state("restore", "--input", copy, "--namespace", "copied"),
        await state("verify", "--namespace", "copied", "--against", live.namespace),
        await state("rebuild", "--to", "green"),
        await state("switch", "--to", "green"),
        await state("verify", "--against", copy),
        await state("drop", "--yes", "--namespace", "copied"),
    ]
    nothing = await state("verify", "--namespace", "copied")

    assert [0] * 7 == codes
    assert 2 == nothing
