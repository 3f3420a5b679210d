"""Questions about segments on real Kafka and Redis, asked through the client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from deploy.local import topics as kafka_topics
from services.profile_store import app as store_app
from services.profile_store.settings import Settings as StoreSettings
from services.segmentation import app as segmentation_app
from services.segmentation.settings import Settings
from shared.adapters.kafka import Message, Producer
from shared.contracts.codec import encode
from shared.contracts.facts import Fact, Identity
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, KEYED_PARTITIONS, physical_topics
from shared.kernel.clock import DAY, HOUR, WallClock
from shared.kernel.ids import profile_id
from shared.sdk import ApiError, Estimate, Freshet
from tests.support.ml_line import union_schema
from tests.support.platform import EmbeddedPlatform
from tests.support.running import running
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

T = TypeVar("T")

BOUGHT_THIS_WEEK = 'xEvent[eventType = "commerce.purchases" and timestamp occurs <= 7 days before now].count() > 0'
PEOPLE = 400


@dataclass(frozen=True)
class World:
    """Segmentation and profile store on topics of their own."""

    settings: Settings
    client: Freshet

    async def ask(self, question: Callable[..., T], *values: Any) -> T:
        """Asks through the blocking client, while the services run in this very loop."""
        return await asyncio.to_thread(question, *values)

    async def define(self, id_: str, expression: str) -> None:
        await self.ask(self.client.segmentation.define, id_, expression, id_)

        async def ready() -> bool:
            return (await self.ask(self.client.segmentation.segment, id_)).ready

        await eventually(ready, f"{id_} is running")

    async def members(self, id_: str) -> list[str]:
        page = await self.ask(self.client.profiles.members, id_, 1_000)
        return sorted(page["members"])

    async def wait_members(self, id_: str, count: int) -> list[str]:
        async def all_in() -> bool:
            return len(await self.members(id_)) == count

        await eventually(all_in, f"{id_} has {count} members")
        return await self.members(id_)

    async def preview(self, expression: str, partitions: int) -> Estimate:
        """Runs a preview to its end."""
        id_ = await self.ask(self.client.segmentation.preview, expression, partitions)

        async def ended() -> Estimate | None:
            found = await self.ask(self.client.segmentation.estimate, id_)
            return found if found.ended else None

        found = await eventually(ended, "the preview has ended")
        assert found is not None
        return found

    async def produce(self, facts: Sequence[Fact]) -> None:
        producer = Producer(self.settings.kafka_bootstrap_servers, self.settings.topic_prefix)
        topic = self.settings.topic_prefix + EVENTS.name
        await producer.start()
        try:
            messages = [
                Message(topic, partition_of(f.profile_id, KEYED_PARTITIONS), f.profile_id.encode(), encode(f))
                for f in facts
            ]
            for acknowledged in await producer.submit(messages):
                await acknowledged
        finally:
            await producer.stop()


def address(number: int) -> str:
    return f"{number}@example.org"


def event(id_: str, number: int, age: int, type_: str = "commerce.purchases") -> Fact:
    """An event that happened `age` µs ago and arrives now."""
    now = WallClock().now()
    person, identity = profile_id("default", "Email", address(number)), Identity("Email", address(number), primary=True)
    return Fact(id_, "event", "default", person, now - age, now, "web", (identity,), {"eventType": type_})


@pytest.fixture
async def world(platform: EmbeddedPlatform, tmp_path: Path) -> AsyncIterator[World]:
    run = uuid4().hex[:8]
    kafka = {"kafka_bootstrap_servers": platform.kafka_bootstrap_servers, "topic_prefix": f"{run}-"}
    common = {**kafka, "http_port": 0, "redis_url": platform.redis_url, "redis_namespace": run}
    await kafka_topics.create(platform.kafka_bootstrap_servers, physical_topics(f"{run}-"))
    async with running(union_schema()) as schemas:
        settings = Settings.model_validate(
            {**common, "database_url": f"sqlite+aiosqlite:///{tmp_path}/segmentation.db", "ingestion_url": schemas}
        )
        store = StoreSettings.model_validate(common)
        async with running(segmentation_app.build(settings)) as url, running(store_app.build(store)) as store_url:
            with Freshet.connect({"segmentation": url, "profile_store": store_url}) as client:
                yield World(settings, client)


async def test_why_after_a_purchase_names_the_event(world: World) -> None:
    await world.define("week", BOUGHT_THIS_WEEK)
    await world.produce([event("looked", 1, HOUR, "commerce.productViews"), event("bought", 1, DAY)])
    (ann,) = await world.wait_members("week", 1)

    found = await world.ask(world.client.segmentation.why, "week", address(1), "Email")

    assert (ann, True) == (found["profileId"], found["member"])
    (count,) = found["tree"]["parts"]
    assert ["bought"] == [counted["id"] for counted in count["events"]]
    assert found["since"] < found["evaluatedAt"] < found["nextChange"]


async def test_why_of_somebody_unknown_is_not_found(world: World) -> None:
    await world.define("week", BOUGHT_THIS_WEEK)

    with pytest.raises(ApiError, match="no fact of it has been decided on") as missing:
        await world.ask(world.client.segmentation.why, "week", "nobody@example.org", "Email")

    assert 404 == missing.value.status


async def test_a_full_preview_equals_the_members_and_a_sample_comes_near(world: World) -> None:
    """The segment is defined first, so that the stream and the preview have seen the same facts."""
    await world.define("week", BOUGHT_THIS_WEEK)
    await world.define("everybody", "xEvent.count() > 0")
    await world.produce([event(f"e{number}", number, number % 10 * DAY + HOUR) for number in range(PEOPLE)])
    await world.wait_members("everybody", PEOPLE)
    members = await world.members("week")

    whole = await world.preview(BOUGHT_THIS_WEEK, KEYED_PARTITIONS)
    sample = await world.preview(BOUGHT_THIS_WEEK, 2)
    listed = await world.ask(world.client.segmentation.previewed, whole.preview_id, 0, 1_000)

    assert PEOPLE * 7 // 10 == len(members)
    assert members == listed
    assert (len(members), 0.0, PEOPLE) == (whole.size, whole.standard_error, whole.profiles_read)
    inside = [member for member in members if partition_of(member, KEYED_PARTITIONS) < 2]
    assert (len(inside), len(inside) * 4) == (sample.profiles_matched, sample.size)
    assert sample.low <= sample.size <= sample.high
    assert sample.profiles_read < PEOPLE


async def test_a_preview_of_an_empty_log_is_empty_and_exact(world: World) -> None:
    found = await world.preview("xEvent.count() = 0", KEYED_PARTITIONS)

    assert ("RESULT_READY", 0, 0.0, "") == (found.state, found.size, found.standard_error, found.error)


async def test_deleted_previews_give_their_places_back(world: World) -> None:
    await world.produce([event(f"e{number}", number, HOUR) for number in range(PEOPLE)])
    asked = world.client.segmentation

    for _ in range(4):
        opened = await world.ask(asked.preview, BOUGHT_THIS_WEEK, KEYED_PARTITIONS)
        await world.ask(asked.remove_preview, opened)
    whole = await world.preview(BOUGHT_THIS_WEEK, KEYED_PARTITIONS)

    assert ("RESULT_READY", PEOPLE) == (whole.state, whole.size)
    with pytest.raises(ApiError, match="it was deleted"):
        await world.ask(asked.estimate, opened)


async def test_the_client_converts_explains_and_shows_where_an_expression_is_wrong(world: World) -> None:
    asked = world.client.segmentation
    tree = await world.ask(asked.to_json, BOUGHT_THIS_WEEK)

    text = await world.ask(asked.to_text, tree)
    explained = await world.ask(asked.explain, text)
    with pytest.raises(ApiError, match="line 1, column 8") as wrong:
        await world.ask(asked.preview, "xEvent[")

    assert "event type commerce.purchases" in explained["text"]
    assert 422 == wrong.value.status
