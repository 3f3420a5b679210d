"""A stateful stage on a Redis Cluster: every partition in one slot, slots that move, a master that is lost."""

import asyncio

import pytest
from redis.crc import key_slot

from shared.contracts import redis_keys
from shared.contracts.partitioning import partition_of
from shared.kernel.errors import ExitCode, Fatal
from tests.support.counting_run import PARTITIONS, CountingRun, crashed, folded, numbered
from tests.support.platform import EmbeddedPlatform
from tests.support.redis_cluster import MASTERS, LocalCluster

pytestmark = pytest.mark.platform


def slot_of(counting: CountingRun, partition: int) -> int:
    return key_slot(redis_keys.fence(counting.settings.redis_namespace, "counting", partition).encode())


async def test_everything_that_a_partition_keeps_lies_in_one_slot(
    platform: EmbeddedPlatform, cluster: LocalCluster
) -> None:
    """Fence, states, deadlines and views: what one script writes must lie on one node."""
    facts = numbered(1_000)
    async with CountingRun.opened(platform, cluster.url) as counting:
        await counting.produce(facts)
        async with counting.feed():
            await counting.counted(len(facts))
        totals = await counting.totals()
        names = [name for node in cluster.nodes[:MASTERS] for name in node.client.keys("*")]
        slots = {partition: slot_of(counting, partition) for partition in range(PARTITIONS)}

    kinds = {name.rpartition("}:")[2].partition(":")[0] for name in names}
    assert folded(facts) == totals
    assert {"fence", "state", "deadlines", "seen"} == kinds
    assert set(slots.values()) == {key_slot(name.encode()) for name in names}
    assert len({cluster.owner(slot).port for slot in slots.values()}) > 1


async def test_slots_that_move_to_another_node_under_load_lose_and_double_nothing(
    platform: EmbeddedPlatform, cluster: LocalCluster
) -> None:
    """MOVED, ASK, TRYAGAIN and a node that has never seen the scripts."""
    facts = numbered(6_000)
    async with CountingRun.opened(platform, cluster.url) as counting:
        async with counting.feed():
            await counting.produce(facts[:1_000])
            await counting.counted(1_000)
            writing = asyncio.create_task(counting.produce(facts[1_000:]))
            for partition in range(PARTITIONS):
                slot = slot_of(counting, partition)
                there = cluster.nodes.index(cluster.owner(slot))
                await cluster.moved(slot, cluster.nodes[(there + 1) % MASTERS])
            await writing
            await counting.counted(len(facts))
        totals = await counting.totals()

    assert folded(facts) == totals


async def test_a_replica_promoted_without_the_tail_is_noticed_and_the_log_replayed(
    platform: EmbeddedPlatform, cluster: LocalCluster
) -> None:
    """Fail-over is a roll-back to a prefix: the worker ends, its successor starts from the older fence."""
    facts = numbered(3_000)
    async with CountingRun.opened(platform, cluster.url) as counting:
        first = [p for p in range(PARTITIONS) if cluster.owner(slot_of(counting, p)) is cluster.nodes[0]]
        async with counting.feed() as feed:
            await counting.produce(facts[:1_500])
            await counting.counted(1_500)
            await asyncio.to_thread(cluster.cut_replication)
            await counting.produce(facts[1_500:])
            await counting.counted(len(facts))
            ahead = {partition: await counting.fence(partition) for partition in first}
            await asyncio.to_thread(cluster.promote_replica)
            reason = await crashed(feed)
        behind = {partition: await counting.fence(partition) for partition in first}
        async with counting.feed():
            await counting.counted(len(facts))
        totals = await counting.totals()

    assert first
    assert isinstance(reason, Fatal)
    assert ExitCode.GAP == reason.exit_code
    assert all(behind[partition] < ahead[partition] for partition in first)
    assert any(partition_of(fact.profile_id, PARTITIONS) in first for fact in facts[1_500:])
    assert folded(facts) == totals
