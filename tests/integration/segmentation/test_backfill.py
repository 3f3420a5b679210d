"""Segments that change while events flow, on real Kafka and Redis: members are exact, also those who are silent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.segmentation.domain.generations import versions_in
from services.segmentation.domain.status import RUNNING, STATUS
from shared.contracts import redis_keys
from shared.contracts.topics import KEYED_PARTITIONS
from tests.support.backfill_world import PEOPLE, World, opened
from tests.support.platform import EmbeddedPlatform
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

EVENTS_BEFORE = 5_000
TWELVE = "xEvent.count() >= 12"
SPENT = 'xEvent[eventType = "commerce.purchases"].sum(commerce.order.priceTotal) >= 150'
RECENT = "xEvent[timestamp occurs <= 3 days before now].count() >= 2"


@pytest.fixture
async def world(platform: EmbeddedPlatform, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(platform, tmp_path) as made:
        yield made


async def test_a_segment_defined_after_5000_events_has_its_exact_members_at_once(world: World) -> None:
    """Nobody sends another event: all of them are silent."""
    await world.started()
    await world.come(EVENTS_BEFORE)
    await world.decided()

    await world.define("twelve", "xEvent.count() >= 10")
    await world.define("spent", SPENT)
    await world.wait_ready("twelve")
    await world.wait_ready("spent")

    assert sorted(p for p, count in world.counts.items() if count >= 10) == await world.members("twelve")
    assert sorted(p for p, spent in world.spent.items() if spent >= 150) == await world.members("spent")
    causes = {t.cause.kind for value in await world.published() for t in value.transitions}
    assert {"definition"} == causes


async def test_a_worker_killed_while_it_backfills_ends_with_the_exact_members(world: World) -> None:
    slowly = {"FRESHET_SEGMENTATION_BACKFILL_ROWS_PER_S_MAX": "1500"}
    await world.started(**slowly)
    await world.come(EVENTS_BEFORE)
    await world.decided()
    await world.define("twelve", TWELVE)
    for share in (0.05, 0.4):
        await world.wait_share(share)
        await world.come(400)
        world.kill()
        await world.come(400)
        await world.started(**slowly)
    await world.come(700)

    await world.wait_ready("twelve")
    await world.decided()

    assert world.expected() == await world.members("twelve")
    assert 0 < len(world.expected()) < PEOPLE


async def test_edits_and_removals_during_a_backfill_are_exact_in_the_end(world: World) -> None:
    slowly = {"FRESHET_SEGMENTATION_BACKFILL_ROWS_PER_S_MAX": "2000"}
    await world.started(**slowly)
    await world.define("gone", "xEvent.count() >= 1")
    await world.wait_ready("gone")
    await world.come(EVENTS_BEFORE)
    await world.decided()
    await world.define("twelve", RECENT)
    await world.wait_status(lambda found: found["state"] == "backfilling", "the backfill has begun")

    await world.ask(world.client.segmentation.edit, "twelve", TWELVE)
    await world.ask(world.client.segmentation.remove, "gone")
    await world.come(1_000)
    await world.wait_ready("twelve")
    await eventually(lambda: settled(world, {"twelve"}), "the removal has been taken up too", 60)
    await world.decided()

    assert world.expected() == await world.members("twelve")
    assert [] == await world.members("gone")
    assert 2 == (await world.readiness("twelve"))["runningVersion"]


async def test_a_log_that_lost_its_beginning_is_said_to_have(world: World) -> None:
    """The people of before are brought over by the list of their states; what they did then is not seen."""
    await world.started()
    await world.come(1_000)
    await world.decided()
    await world.delete_records()
    before = dict(world.counts)
    await world.come(100)
    await world.decided()
    late = {person for person, count in world.counts.items() if count > before.get(person, 0)}
    await world.define("twelve", "xEvent.count() >= 100")
    await world.define("silent", "not (xEvent.count() >= 1)")
    await world.wait_ready("twelve")
    await world.wait_ready("silent")

    assert (await world.readiness("twelve"))["historyFrom"] is not None
    assert [] == await world.members("twelve")
    assert sorted(world.counts.keys() - late) == await world.members("silent")
    key = redis_keys.view(world.settings.redis_namespace, "segmentation", 0, STATUS)
    assert b'"phase":"sweep"' not in (await world.redis.client.get(key) or b"")


async def test_a_segment_removed_while_it_is_backfilled_is_given_up_and_nobody_is_left_in_it(world: World) -> None:
    await world.started(FRESHET_SEGMENTATION_BACKFILL_ROWS_PER_S_MAX="400")
    await world.define("spent", SPENT)
    await world.wait_ready("spent")
    await world.come(EVENTS_BEFORE)
    await world.decided()
    await world.define("twelve", TWELVE)
    await world.wait_share(0.2)

    await world.ask(world.client.segmentation.remove, "twelve")
    await world.come(300)
    await eventually(lambda: settled(world, {"spent"}), "all partitions stand still", 60)
    await world.decided()

    came = {v.profile_id for v in await world.published() for t in v.transitions if t.segment_id == "twelve"}
    assert len(came) < len(world.expected()), "the backfill did not go on to its end"
    assert [] == await world.members("twelve")
    assert sorted(p for p, spent in world.spent.items() if spent >= 150) == await world.members("spent")


async def settled(world: World, segments: set[str]) -> bool:
    """Whether every partition runs these segments and no others, and is on no way."""
    for partition in range(KEYED_PARTITIONS):
        place = (world.settings.redis_namespace, "segmentation", partition)
        names = [redis_keys.view(*place, name) for name in (STATUS, RUNNING)]
        status, running = [await world.redis.client.get(name) for name in names]
        assert isinstance(status, bytes)
        assert isinstance(running, bytes)
        if b'"phase"' in status or segments != versions_in(running).keys():
            return False
    return True
