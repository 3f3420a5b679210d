"""Previews: the members an expression would have, before it is defined."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from services.segmentation.handlers.previews import Preview, PreviewHandlers
from services.segmentation.ports import Extent
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.kernel.clock import DAY, ManualClock
from shared.kernel.errors import Reason, Rejected, Retryable
from tests.support.waiting import eventually
from tests.unit.services.segmentation.builders import BOUGHT_THIS_WEEK, AnySchema, Shop, Tasks


class Desk:
    """Previews over a shop with 60 people who bought, one a day over 12 days."""

    def __init__(self, shop: Shop, profiles_max: int = 1_000, live: bool = True) -> None:
        self.shop = shop
        self.jobs = Tasks()
        ids = iter(f"id{number}" for number in range(1_000))
        wall = ManualClock(14 * DAY) if live else None
        self.handlers = PreviewHandlers(shop, AnySchema(), shop, self.jobs, wall, lambda: next(ids), profiles_max)

    async def preview(self, expression: str, partitions: int = 8) -> Preview:
        """Opens a preview and waits for its end."""
        preview = await self.handlers.open(expression, partitions)
        await self.jobs.ended()
        return preview


def shop_of(people: int = 60) -> Shop:
    shop = Shop()
    shop.run(SegmentDefinition("week", "week", BOUGHT_THIS_WEEK, 1))
    for number in range(people):
        shop.event(f"e{number}", number % 12 * DAY, profile=f"p{number}")
    return shop


async def test_a_full_preview_finds_the_members_of_now_exactly() -> None:
    shop = shop_of()
    preview = await Desk(shop).preview(BOUGHT_THIS_WEEK)
    shop.tick(14 * DAY)

    assert "RESULT_READY" == preview.state
    assert sorted(shop.members("week")) == list(preview.ids)
    assert (25, 25, 0.0) == (preview.matched, preview.estimate.size, preview.estimate.standard_error)
    assert (60, 60, 60, 60) == (preview.profiles_read, preview.rows_all, preview.rows, preview.rows_read)


async def test_a_sample_reads_whole_partitions_and_projects() -> None:
    preview = await Desk(shop_of()).preview("xEvent.count() > 0", partitions=3)

    people = [f"p{number}" for number in range(60)]
    expected = sorted(person for person in people if partition_of(person, 8) < 3)
    assert expected == list(preview.ids)
    assert round(len(expected) * 8 / 3) == preview.estimate.size
    assert preview.estimate.low <= 60 <= preview.estimate.high
    assert len(expected) == preview.rows < preview.rows_all


async def test_on_the_stream_clock_now_is_the_newest_log_time() -> None:
    preview = await Desk(shop_of(), live=False).preview(BOUGHT_THIS_WEEK)

    assert 8 * 5 == preview.matched


async def test_a_wrong_expression_is_refused_before_anything_runs() -> None:
    desk = Desk(shop_of())

    with pytest.raises(pql.PqlError) as refused:
        await desk.handlers.open("xEvent[", 1)

    assert (1, 8) == (refused.value.line, refused.value.column)
    assert {} == desk.jobs.tasks


@pytest.mark.parametrize("partitions", [0, 9, -1])
async def test_a_sample_has_one_to_eight_partitions(partitions: int) -> None:
    with pytest.raises(Rejected, match="samplePartitions is 1 to 8"):
        await Desk(shop_of()).handlers.open(BOUGHT_THIS_WEEK, partitions)


async def test_too_many_people_fail_the_preview_with_what_to_do() -> None:
    preview = await Desk(shop_of(), profiles_max=10).preview(BOUGHT_THIS_WEEK)

    assert "FAILED" == preview.state
    assert "more than 10 people; sample fewer partitions" in preview.error
    assert [] == list(preview.ids)


async def test_a_log_that_cannot_be_read_fails_the_preview() -> None:
    class Broken(Shop):
        async def extents(self) -> Sequence[Extent]:
            raise Retryable("the log cannot be read")

    preview = await Desk(Broken()).preview(BOUGHT_THIS_WEEK)

    assert ("FAILED", "the log cannot be read") == (preview.state, preview.error)


async def test_a_deleted_preview_stops_reading_and_is_forgotten() -> None:
    class Slow(Shop):
        async def read(self, extents: Sequence[Extent]) -> AsyncGenerator[Sequence[Fact], None]:
            async for facts in super().read(extents):
                yield facts
                await asyncio.Event().wait()

    shop = Slow()
    for number in range(10):
        shop.event(f"e{number}", number, profile=f"p{number}")
    desk = Desk(shop)
    preview = await desk.handlers.open(BOUGHT_THIS_WEEK, 8)

    async def reading() -> bool:
        return shop.reads > 0

    await eventually(reading, "the preview reads")

    await desk.handlers.remove(preview.id)

    assert ("FAILED", 1) == (preview.state, shop.reads)
    with pytest.raises(Rejected) as missing:
        desk.handlers.get(preview.id)
    assert Reason.NOT_FOUND == missing.value.reason


async def test_only_the_newest_ended_previews_are_kept() -> None:
    desk = Desk(shop_of(1))
    previews = [await desk.preview(BOUGHT_THIS_WEEK) for _ in range(22)]

    with pytest.raises(Rejected, match="POST it again"):
        desk.handlers.get(previews[0].id)

    assert previews[-1] is desk.handlers.get(previews[-1].id)


async def test_a_preview_shares_the_loop_with_others() -> None:
    """A log that never makes its reader wait must let the stream, here a counter, have many turns meanwhile."""

    class Long(Shop):
        async def read(self, extents: Sequence[Extent]) -> AsyncGenerator[Sequence[Fact], None]:
            whole = [fact async for facts in super().read(extents) for fact in facts]
            for _ in range(200):
                yield whole

    shop, turns = Long(), 0
    for number in range(40):
        shop.event(f"e{number}", number, profile=f"p{number}")
    desk = Desk(shop)

    async def stream() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    other = asyncio.create_task(stream())
    preview = await desk.preview("xEvent.count() > 0")
    other.cancel()

    assert ("RESULT_READY", 40) == (preview.state, preview.matched)
    assert turns > 3
