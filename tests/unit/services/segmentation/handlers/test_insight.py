"""Why a profile is in a segment: evaluated now, on a copy, with the events that count."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.segmentation.adapters.store import SqlDefinitionStore, metadata, outbox
from services.segmentation.domain.definitions import Definitions, compile_definitions
from services.segmentation.handlers.definitions import DefinitionHandlers
from services.segmentation.handlers.insight import InsightHandlers
from shared import pql
from shared.adapters.sql import Database, Outbox
from shared.contracts.topics import FEATURE_DEFINITIONS, SEGMENT_DEFINITIONS
from shared.kernel.clock import DAY, ManualClock
from shared.kernel.errors import Reason, Rejected, Retryable
from tests.unit.services.segmentation.builders import BOUGHT_THIS_WEEK, AnySchema, Shop


class World:
    """A shop whose definitions lie in a real database, and a clock."""

    def __init__(self, database: Database) -> None:
        store = SqlDefinitionStore(database, Outbox(database, outbox, (SEGMENT_DEFINITIONS, FEATURE_DEFINITIONS)))
        self.shop = Shop()
        self.clock = ManualClock(5)
        self.defining = DefinitionHandlers(store, AnySchema(), self.clock, lambda: "new")

    def asking(self, live: bool = True, look_up_rows_max: int = 1_000) -> InsightHandlers:
        wall = self.clock if live else None
        shop = self.shop
        return InsightHandlers(self.defining, AnySchema(), shop, shop, shop, wall, look_up_rows_max)

    async def define(self, id_: str, expression: str) -> None:
        self.shop.run(await self.defining.define_segment(id_, expression, segment_id=id_))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/segmentation.db", metadata)
    await database.start()
    yield World(database)
    await database.stop()


async def test_why_names_the_events_that_count_and_when_time_alone_will_change_it(world: World) -> None:
    await world.define("week", BOUGHT_THIS_WEEK)
    world.shop.event("view", 1 * DAY, type_="view")
    world.shop.event("bought", 2 * DAY)
    world.clock.advance_to(3 * DAY)

    answer = await world.asking().why("week", "p")

    assert (2 * DAY, True, 3 * DAY) == (answer.since, answer.recorded, answer.at)
    assert 9 * DAY + 1 == answer.evidence.changes_at
    assert ["bought"] == [fact.id for fact in answer.counted.values()]
    assert "commerce.purchases" in str(answer.evidence)


async def test_why_is_as_of_now_even_before_the_stream_has_taken_the_exit(world: World) -> None:
    await world.define("week", BOUGHT_THIS_WEEK)
    world.shop.event("bought", 1 * DAY)
    world.clock.advance_to(20 * DAY)

    live, replayed = await world.asking().why("week", "p"), await world.asking(live=False).why("week", "p")

    assert (None, True, 20 * DAY) == (live.since, live.recorded, live.at)
    assert (1 * DAY, True, 1 * DAY) == (replayed.since, replayed.recorded, replayed.at)


async def test_a_segment_of_segments_is_judged_by_what_those_are_now(world: World) -> None:
    await world.define("week", BOUGHT_THIS_WEEK)
    await world.define("lapsed", 'not inSegment("week") and xEvent.count() > 0')
    world.shop.event("bought", 1 * DAY)
    world.clock.advance_to(20 * DAY)

    answer = await world.asking().why("lapsed", "p")

    assert answer.evidence.value is True
    assert 8 * DAY + 1 == answer.since


async def test_asking_changes_nothing(world: World) -> None:
    await world.define("week", BOUGHT_THIS_WEEK)
    world.shop.event("bought", 1 * DAY)
    before = await world.shop.get("p")
    world.clock.advance_to(20 * DAY)

    await world.asking().why("week", "p")

    assert before == await world.shop.get("p")
    assert {"week"} == set(before.engine.members if before else ())


async def test_a_definition_newer_than_the_last_fact_shows_what_the_next_one_will_decide(world: World) -> None:
    world.shop.record("r1", 1, homeAddress={"countryCode": "KR"})
    await world.define("kr", 'homeAddress.countryCode = "KR"')
    world.clock.advance_to(10)

    answer = await world.asking().why("kr", "p")

    assert (10, False) == (answer.since, answer.recorded)


async def test_events_beyond_the_newest_records_keep_their_hash_only(world: World) -> None:
    await world.define("week", BOUGHT_THIS_WEEK)
    world.shop.event("bought", 1 * DAY)
    world.shop.event("view", 2 * DAY, type_="view")

    answer = await world.asking(live=False, look_up_rows_max=1).why("week", "p")

    assert {} == answer.counted
    assert (pql.event_hash("bought"),) == answer.evidence.parts[0].events


async def test_an_unknown_segment_or_profile_is_not_found(world: World) -> None:
    await world.define("week", BOUGHT_THIS_WEEK)

    with pytest.raises(Rejected, match="there is no segment with id 'month'") as no_segment:
        await world.asking().why("month", "p")
    with pytest.raises(Rejected, match="there is no profile 'q'") as no_profile:
        await world.asking().why("week", "q")

    assert Reason.NOT_FOUND == no_segment.value.reason == no_profile.value.reason


async def test_a_segment_that_does_not_run_yet_is_asked_for_again_later(world: World) -> None:
    await world.defining.define_segment("week", BOUGHT_THIS_WEEK, segment_id="week")

    with pytest.raises(Retryable, match="does not run it yet"):
        await world.asking().why("week", "p")


async def test_explain_tells_histories_and_the_worst_case(world: World) -> None:
    await world.define("week", BOUGHT_THIS_WEEK)

    segment, explained = await world.asking().explain_segment("week")

    assert "week" == segment.id
    assert ["window"] == [spec.family for spec in explained.leaves]
    assert explained.cost.bytes > 0
    assert "event type commerce.purchases" == explained.leaves[0].found_by.split(",")[0]


class Changing:
    """Implements `Applied` while definitions change: the shop's profiles live under older ones than the newest."""

    def __init__(self, shop: Shop, newest: Definitions) -> None:
        self._shop = shop
        self._newest = newest

    def current(self) -> Definitions:
        return self._newest

    def under(self, plan: int) -> Definitions:
        return self._shop.running if plan == self._shop.running.plan.key else self._newest


async def changing(world: World, id_: str, expression: str) -> Changing:
    """Defines a segment that nobody has come over to yet, or edits one."""
    defining = world.defining
    if id_ in world.shop.segments:
        segment = await defining.edit_segment(id_, None, expression, None)
    else:
        segment = await defining.define_segment(id_, expression, segment_id=id_)
    held = world.shop.segments | {id_: segment}
    return Changing(world.shop, compile_definitions(held.values(), (), pql.Schema.permissive()))


async def test_who_has_not_come_over_to_a_segment_is_shown_as_they_will_be(world: World) -> None:
    await world.define("any", "xEvent.count() >= 1")
    for day in (1, 2, 3):
        world.shop.event(f"bought{day}", day * DAY)
    world.shop.event("other", 3 * DAY, profile="q")
    world.clock.advance_to(4 * DAY)
    before = await world.shop.get("p")
    running = await changing(world, "thrice", 'xEvent[eventType = "commerce.purchases"].count() >= 3')
    shop = world.shop
    asking = [InsightHandlers(world.defining, AnySchema(), running, shop, shop, world.clock, n) for n in (1_000, 2)]

    answer, cut = [await one.why("thrice", "p") for one in asking]

    assert (4 * DAY, False, 1) == (answer.since, answer.recorded, answer.version)
    assert answer.note == "the profile has not come over to this segment yet; this is what it will find"
    assert cut.since is None
    assert cut.note is not None
    assert cut.note.endswith("as far as the newest 2 records of its partition tell")
    assert before == await world.shop.get("p")


async def test_who_has_not_come_over_to_an_edit_is_answered_by_the_version_that_decides(world: World) -> None:
    await world.define("any", "xEvent.count() >= 1")
    world.shop.event("bought", 1 * DAY)
    running = await changing(world, "any", "xEvent.count() >= 2")
    shop = world.shop

    answer = await InsightHandlers(world.defining, AnySchema(), running, shop, shop, None, 1_000).why("any", "p")

    assert (1, 1 * DAY) == (answer.version, answer.since)
    assert answer.note is not None
    assert "has not come over to version 2 yet; until then version 1 decides" in answer.note
