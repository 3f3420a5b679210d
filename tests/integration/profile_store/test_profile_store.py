"""The profile store on real Kafka and Redis: updates in, lookups and readers' views out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.local import topics as kafka_topics
from services.profile_store.adapters.members import RedisMembers
from services.profile_store.app import build
from services.profile_store.domain.state import STAGE
from services.profile_store.settings import Settings
from shared.adapters.kafka import Message, Producer
from shared.adapters.redis import RedisClient
from shared.contracts import redis_keys
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.memberships import Cause, Membership, Transition
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import KEYED_PARTITIONS, PROFILE_UPDATES, physical_topics
from shared.contracts.updates import ProfileUpdate
from shared.contracts.vectors import FeatureVector
from shared.features import unpack
from shared.kernel.ids import digest_id, profile_id
from tests.support.platform import EmbeddedPlatform
from tests.support.running import running
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

DAY_0 = 1_700_000_000_000_000


@pytest.fixture
async def settings(platform: EmbeddedPlatform) -> Settings:
    """A namespace of its own on the session's Kafka and Redis, with its topics made."""
    run = uuid4().hex[:8]
    names = {name: topic for name, topic in physical_topics(f"{run}-").items() if topic is PROFILE_UPDATES}
    await kafka_topics.create(platform.kafka_bootstrap_servers, names)
    return Settings(
        http_port=0,
        kafka_bootstrap_servers=platform.kafka_bootstrap_servers,
        topic_prefix=f"{run}-",
        redis_url=platform.redis_url,
        redis_namespace=run,
        kafka_session_timeout_ms=6_000,
    )


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[RedisClient]:
    client = RedisClient(settings.redis_url)
    yield client
    await client.client.aclose()


@asynccontextmanager
async def store(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with running(build(settings)) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def produce(settings: Settings, updates: Sequence[ProfileUpdate]) -> None:
    producer = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix)
    topic = settings.topic_prefix + PROFILE_UPDATES.name
    await producer.start()
    try:
        keys = [update.profile_id for update in updates]
        messages = [
            Message(topic, partition_of(key, KEYED_PARTITIONS), key.encode(), encode(update))
            for key, update in zip(keys, updates, strict=True)
        ]
        for acknowledged in await producer.submit(messages):
            await acknowledged
    finally:
        await producer.stop()


def key_of(number: int) -> str:
    return profile_id("default", "Email", f"{number}@x.org")


def entered(number: int, segment: str = "shop") -> ProfileUpdate:
    """Profile `number` viewed something, entered `segment` and got a vector."""
    key, at = key_of(number), DAY_0 + number
    fact = Fact(f"e{number}", "event", "default", key, at, at, "web", body={"eventType": "view"})
    change = Transition(f"t{number}", segment, 1, "entered", at, Cause("fact", fact.id))
    vector = FeatureVector(f"v{number}", "default", key, "shop", digest_id("features"), at, (float(number), 0.5))
    return ProfileUpdate("default", key, at, fact, (change,), {segment: Membership(1, at)}, (vector,))


async def count(client: httpx.AsyncClient, segment: str = "shop") -> int:
    return int((await client.get(f"/ups/segments/{segment}/count")).json()["count"])


async def look_up(client: httpx.AsyncClient, number: int) -> Any:
    query = {"schema.name": "_xdm.context.profile", "entityId": f"{number}@x.org", "entityIdNS": "Email"}
    return (await client.get("/ups/access/entities", params=query)).json()[key_of(number)]


async def test_updates_become_profiles_members_and_vectors(settings: Settings, redis: RedisClient) -> None:
    await produce(settings, [entered(number) for number in range(500)])

    async with store(settings) as client:

        async def all_are_members() -> bool:
            return await count(client) == 500

        await eventually(all_are_members, "500 members")
        found, ready = await look_up(client, 7), await client.get("/readyz")
        listed: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": "70", "cursor": cursor}
            answer = (await client.get("/ups/segments/shop/members", params=query)).json()
            assert len(answer["members"]) <= 70
            listed += answer["members"]
            cursor = answer["page"]["next"]

    assert found["entity"]["segmentMembership"]["ups"]["shop"]["status"] == "realized"
    assert found["eventSummary"]["count"] == 1
    assert ready.status_code == 200
    assert sorted(listed) == sorted(key_of(number) for number in range(500))
    key = key_of(7)
    name = redis_keys.vector_name("shop", key)
    raw = await redis.client.get(redis_keys.view(settings.redis_namespace, STAGE, partition_of(key, 8), name))
    assert isinstance(raw, bytes)
    assert unpack(raw).values == (7.0, 0.5)


async def test_updates_that_come_again_after_a_restart_count_once(settings: Settings) -> None:
    updates = [entered(number) for number in range(50)]
    await produce(settings, updates)
    async with store(settings) as client:

        async def all_are_members() -> bool:
            return await count(client) == 50

        await eventually(all_are_members, "50 members")

    await produce(settings, [*updates, entered(50, "again")])
    await produce(settings, [entered(number, "again") for number in range(51, 151)])
    async with store(settings) as client:

        async def all_came_again() -> bool:
            return await count(client, "again") == 101

        await eventually(all_came_again, "101 members of the second segment")
        found = [await look_up(client, number) for number in range(50)]

    assert {one["eventSummary"]["count"] for one in found} == {1}


async def test_no_member_is_missed_while_the_set_grows_between_pages(settings: Settings, redis: RedisClient) -> None:
    members = RedisMembers(redis, settings.redis_namespace)
    name = redis_keys.view(settings.redis_namespace, STAGE, 3, redis_keys.members_name("shop"))
    steady = [f"steady {number}" for number in range(300)]
    await redis.client.sadd(name, *steady)

    listed: set[str] = set()
    cursor, rounds = None, 0
    while True:
        page = await members.page("shop", cursor, 13)
        listed |= set(page.profile_ids)
        assert len(page.profile_ids) <= 13
        await redis.client.sadd(name, *(f"new {rounds} {number}" for number in range(5)))
        cursor, rounds = page.cursor, rounds + 1
        if cursor is None:
            break

    assert listed >= set(steady)


@pytest.mark.parametrize("cursor", ["nonsense", "9-0-", "0-99999999999999999999-", "8-0-x"])
async def test_a_cursor_that_was_not_given_out_is_refused(settings: Settings, cursor: str) -> None:
    async with store(settings) as client:
        answer = await client.get("/ups/segments/shop/members", params={"cursor": cursor})

    assert answer.status_code == 400
    assert "not a cursor" in answer.json()["detail"]
