"""Segmentation's state copied, lost, replayed, rebuilt beside and switched to, through `freshet state`."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from deploy.local import topics as kafka_topics
from services.segmentation.app import rebuild_stage
from shared.adapters.kafka import Message, Producer
from shared.adapters.kafka_log import delete_before, open_log, read_log
from shared.adapters.redis import RedisClient
from shared.cli.__main__ import main
from shared.contracts import redis_keys
from shared.contracts.codec import encode
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import (
    EVENTS,
    FEATURE_DEFINITIONS,
    FEATURE_VECTORS,
    KEYED_PARTITIONS,
    PROFILE_UPDATES,
    SEGMENT_DEFINITIONS,
    SEGMENT_MEMBERSHIPS,
    physical_topics,
)
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.admin.keyspace import FenceView, Keyspace
from shared.runtime.driver import TopologyDriver
from shared.runtime.feed import StageFeed
from shared.runtime.metrics import StageMetrics
from shared.runtime.namespace import active_namespace
from tests.support.counting import WorkerSettings
from tests.support.platform import EmbeddedPlatform
from tests.support.shop_log import CART, SHOP_FEATURES, VIEW, shop_log
from tests.support.struck import run_struck
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

SEGMENTS = {
    "browsing": f'xEvent[eventType = "{VIEW}" and timestamp occurs <= 3 days before now].count() >= 2',
    "cart": f'xEvent[eventType = "{CART}" and timestamp occurs <= 2 days before now].count() >= 1',
    "loyal": "loyalty.points > 500",
}
FACTS = shop_log(profiles=60, days=30)
TOPICS = (
    EVENTS, PROFILE_UPDATES, SEGMENT_MEMBERSHIPS, FEATURE_VECTORS, SEGMENT_DEFINITIONS, FEATURE_DEFINITIONS,
)  # fmt: skip


class World:
    """Segmentation's stage on the session's Kafka and Redis, definitions published; `feed` runs it on log time."""

    def __init__(self, settings: WorkerSettings, producer: Producer, redis: RedisClient) -> None:
        self.settings = settings
        self.producer = producer
        self.redis = redis

    @asynccontextmanager
    async def feed(self) -> AsyncIterator[StageFeed]:  # type: ignore[type-arg]
        stage = await rebuild_stage(self.settings.kafka_bootstrap_servers, self.settings.topic_prefix)
        metrics = StageMetrics("segmentation", CollectorRegistry())
        producer = Producer(self.settings.kafka_bootstrap_servers, self.settings.topic_prefix)
        feed = StageFeed(stage, self.settings, producer, metrics, self.redis)
        await producer.start()
        await feed.start()
        try:
            yield feed
        finally:
            await feed.stop()
            await producer.stop()

    async def produce(self, facts: list[Fact]) -> None:
        topic = self.settings.topic_prefix + EVENTS.name
        messages = [Message(topic, partition_of(f.profile_id, 8), f.profile_id.encode(), encode(f)) for f in facts]
        for future in await self.producer.submit(messages):
            await future

    async def applied(self, total: int, namespace: str | None = None) -> None:
        """Waits until so many facts are decided, and every deadline that they brought has fired."""
        space = self.space(namespace)

        async def look() -> bool:
            fences = await space.fences()
            for fence in fences:
                name = redis_keys.deadlines(space.namespace, space.stage, fence.partition)
                if await self.redis.client.zcount(name, "-inf", fence.clock - 1):
                    return False
            return sum(fence.offset + 1 for fence in fences) == total

        await eventually(look, f"{total} facts decided", 60)

    def command(self, command: str, *arguments: str) -> list[str]:
        where = ["--kafka", self.settings.kafka_bootstrap_servers, "--redis", self.settings.redis_url]
        where += ["--prefix", self.settings.topic_prefix, "--stage", "segmentation"]
        if "--namespace" not in arguments:
            where += ["--namespace", self.settings.redis_namespace]
        return ["state", command, *where, *arguments]

    async def state(self, command: str, *arguments: str) -> int:
        """Runs `freshet state` as an operator would."""
        return await asyncio.to_thread(main, self.command(command, *arguments))

    async def struck(self, signal: str, after: int, command: str, *arguments: str) -> tuple[int, str]:
        """Runs it in a process that a signal hits half-way; returns how that ended and what it said."""
        done = await asyncio.to_thread(run_struck, signal, after, self.command(command, *arguments))
        return done.returncode, done.stderr

    def space(self, namespace: str | None = None) -> Keyspace:
        return Keyspace(self.redis.client, namespace or self.settings.redis_namespace, "segmentation", KEYED_PARTITIONS)

    async def in_charge(self) -> list[str]:
        root = self.settings.redis_namespace
        return [await active_namespace(self.redis.client, root, "segmentation", p) for p in range(KEYED_PARTITIONS)]

    async def forget(self, fences: Sequence[FenceView]) -> None:
        """Has the broker delete some records beyond what these fences have applied, as retention would."""
        servers, topic = self.settings.kafka_bootstrap_servers, self.settings.topic_prefix + EVENTS.name
        async with open_log(servers) as log:
            ends = {extent.partition: extent.end for extent in await log.extents(topic, range(KEYED_PARTITIONS))}
        await delete_before(servers, topic, {f.partition: min(f.offset + 6, ends[f.partition]) for f in fences})

    async def transitions(self) -> set[tuple[str, str, int, str]]:
        servers, topic = self.settings.kafka_bootstrap_servers, self.settings.topic_prefix + SEGMENT_MEMBERSHIPS.name
        async with open_log(servers) as log:
            extents = await log.extents(topic, range(KEYED_PARTITIONS))
        found: set[tuple[str, str, int, str]] = set()
        async for records in read_log(servers, topic, extents):
            for changed in (SEGMENT_MEMBERSHIPS.codec.decode(record.value) for record in records):
                found |= {(t.id, t.change, t.effective_at, changed.profile_id) for t in changed.transitions}
        return found


@pytest.fixture
async def world(platform: EmbeddedPlatform) -> AsyncIterator[World]:
    run = uuid4().hex[:8]
    names = {name: topic for name, topic in physical_topics(f"{run}-").items() if topic in TOPICS}
    await kafka_topics.create(platform.kafka_bootstrap_servers, names)
    settings = WorkerSettings(platform.kafka_bootstrap_servers, platform.redis_url, f"{run}-", run)
    producer, redis = Producer(settings.kafka_bootstrap_servers), RedisClient(settings.redis_url)
    await producer.start()
    for name, expression in SEGMENTS.items():
        definition = encode(SegmentDefinition(name, name, expression, 1))
        for done in await producer.submit([Message(f"{run}-segment-definitions", 0, name.encode(), definition)]):
            await done
    for done in await producer.submit([Message(f"{run}-feature-definitions", 0, b"shop", encode(SHOP_FEATURES))]):
        await done
    try:
        yield World(settings, producer, redis)
    finally:
        await producer.stop()
        await redis.client.aclose()


async def test_state_lost_is_replayed_to_the_copys_digest_then_rebuilt_beside_and_switched_to(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copy, total loss under a running worker, replay, rebuild beside, switch; life goes on in the new namespace."""
    copy, green, half = str(tmp_path / "copy.fsnap"), f"{world.settings.redis_namespace}g", len(FACTS) * 2 // 3
    await world.produce(FACTS[:half])
    async with world.feed() as feed:
        await world.applied(half)
        backed_up = await world.state("backup", "--output", copy)
        dropped = await world.state("drop", "--yes")
        await eventually(lambda: asyncio.sleep(0, feed.crashed), "the worker noticed")
        lost = feed.crash_reason
    async with world.feed() as feed:
        await world.applied(half)
        same = await world.state("verify", "--against", copy)
        rebuilt = await world.state("rebuild", "--to", green)
        switched = await world.state("switch", "--to", green)
        await eventually(lambda: asyncio.sleep(0, feed.crashed), "the worker was fenced out")
        fenced = feed.crash_reason
    async with world.feed():
        await world.produce(FACTS[half:])
        await world.applied(len(FACTS), green)
    capsys.readouterr()
    differs = await world.state("verify", "--against", copy, "--format", "json")
    shown = json.loads(capsys.readouterr().out)
    stage = await rebuild_stage(world.settings.kafka_bootstrap_servers, world.settings.topic_prefix)
    driver = TopologyDriver(stage)
    for fact in FACTS:
        driver.send(EVENTS, fact.profile_id, fact)
    driver.settle()
    expected = {
        (t.id, t.change, t.effective_at, written.key)
        for written in driver.read(SEGMENT_MEMBERSHIPS)
        for t in written.value.transitions
    }

    assert [0, 0, 0, 0, 0] == [backed_up, dropped, same, rebuilt, switched]
    assert isinstance(lost, Fatal)
    assert lost.exit_code in (ExitCode.GAP, ExitCode.FENCED)
    assert isinstance(fenced, Fatal)
    assert ExitCode.FENCED == fenced.exit_code
    assert 1 == differs
    assert green == shown["namespace"]
    assert shown["differences"]["count"] > 0
    assert expected == await world.transitions()


async def test_commands_that_cannot_do_what_is_asked_say_why_and_what_to_do(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rebuild = await world.state("rebuild", "--to", "elsewhere")
    switch = await world.state("switch", "--to", "nowhere")
    restore = await world.state("restore", "--input", str(tmp_path / "none.fsnap"))
    drop = await world.state("drop")
    errors = capsys.readouterr().err

    assert [1, 2, 2, 2] == [rebuild, switch, restore, drop]
    assert "start workers, which replay the log from its start by themselves" in errors
    assert "namespace 'nowhere' holds no state of segmentation: rebuild or restore into it first" in errors
    assert "there is no file" in errors
    assert "deleting needs --yes where nobody can be asked" in errors


async def test_a_rebuild_from_a_copy_killed_in_either_half_ends_at_the_live_digest_and_is_switched_to(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed while the copy is written back, killed while the log is replayed, killed between two partitions."""
    copy, green, half = str(tmp_path / "copy.fsnap"), f"{world.settings.redis_namespace}g", len(FACTS) // 2
    rebuild = ("rebuild", "--to", green, "--from", copy)
    await world.produce(FACTS[:half])
    async with world.feed():
        await world.applied(half)
        backed_up = await world.state("backup", "--output", copy)
        await world.produce(FACTS[half:])
        await world.applied(len(FACTS))
    struck = [await world.struck("SIGKILL", 20, *rebuild), await world.struck("SIGKILL", len(FACTS) // 3, *rebuild)]
    finished = await world.state(*rebuild)
    torn = await world.struck("SIGKILL@move", 3, "switch", "--to", green)
    between = await world.in_charge()
    refused = await world.state("verify"), capsys.readouterr().err
    held = await world.state("switch", "--to", green), capsys.readouterr().err

    async def switched() -> bool:
        return await world.state("switch", "--to", green) == 0

    await eventually(switched, "the hold of the killed switch is forgotten, and the rest goes over", 60)
    after = await world.in_charge()

    assert [-9, -9, -9] == [*(code for code, _ in struck), torn[0]]
    assert [0, 0] == [backed_up, finished]
    assert [green] * 3 + [world.settings.redis_namespace] * 5 == between
    assert 1 == refused[0]
    assert "a switch was cut short; give the same `freshet state switch` again" in refused[1]
    assert ExitCode.RETRY == held[0]
    assert "is held by another restore or switch; wait for its end (a killed one is forgotten after 30 s)" in held[1]
    assert [green] * KEYED_PARTITIONS == after


async def test_a_copy_older_than_the_logs_start_is_refused_with_a_sentence(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, other, half = str(tmp_path / "copy.fsnap"), f"{world.settings.redis_namespace}o", len(FACTS) // 2
    await world.produce(FACTS[:half])
    async with world.feed():
        await world.applied(half)
        await world.state("backup", "--output", copy)
        fences = await world.space().fences()
        await world.produce(FACTS[half:])
        await world.applied(len(FACTS))
    await world.forget(fences)
    capsys.readouterr()
    from_copy = await world.state("rebuild", "--to", other, "--from", copy), capsys.readouterr().err
    from_nothing = await world.state("rebuild", "--to", f"{other}2"), capsys.readouterr().err
    await world.state("drop", "--yes")
    restored = await world.state("restore", "--input", copy)
    async with world.feed() as feed:
        await eventually(lambda: asyncio.sleep(0, feed.crashed), "the worker refused")
        reason = feed.crash_reason

    assert [ExitCode.LOG_TRUNCATED] * 2 == [from_copy[0], from_nothing[0]]
    for said in (from_copy[1], from_nothing[1]):
        assert "records between were deleted. Restore a newer copy with `freshet state restore`" in said
    assert 0 == restored
    assert isinstance(reason, Fatal)
    assert ExitCode.LOG_TRUNCATED == reason.exit_code
