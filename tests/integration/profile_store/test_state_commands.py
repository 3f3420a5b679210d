"""The profile store's state through `freshet state`: killed and interrupted half-way, rebuilt beside, switched to."""

import asyncio
from pathlib import Path

import pytest

from services.profile_store.domain.state import STAGE
from services.profile_store.settings import Settings
from shared.adapters.redis import RedisClient
from shared.cli.__main__ import main
from shared.contracts.topics import KEYED_PARTITIONS
from shared.runtime.admin.keyspace import Keyspace
from tests.integration.profile_store.test_profile_store import count, entered, produce, redis, settings, store
from tests.support.struck import run_struck
from tests.support.waiting import eventually

__all__ = ["redis", "settings"]

pytestmark = pytest.mark.platform

PROFILES = 2_000


class Operator:
    """Runs `freshet state` on one stage of one namespace."""

    def __init__(self, settings: Settings, redis: RedisClient) -> None:
        self._settings = settings
        self._redis = redis

    def arguments(self, command: str, *more: str) -> list[str]:
        found = ["state", command, "--stage", STAGE, "--quiet", "--kafka", self._settings.kafka_bootstrap_servers]
        found += ["--redis", self._settings.redis_url, "--prefix", self._settings.topic_prefix]
        return found + ([] if "--namespace" in more else ["--namespace", self._settings.redis_namespace]) + list(more)

    async def run(self, command: str, *more: str) -> int:
        return await asyncio.to_thread(main, self.arguments(command, *more))

    async def struck(self, signal: str, command: str, *more: str) -> tuple[int, str]:
        """Runs a command that a signal hits half-way; returns its return code and what it said."""
        # A restore's views come first, a member and a vector for each profile, then states.
        after = PROFILES * 3 // 2 if command == "restore" else PROFILES // 4
        done = await asyncio.to_thread(run_struck, signal, after, self.arguments(command, *more))
        return done.returncode, done.stderr

    async def applied(self, namespace: str) -> int:
        space = Keyspace(self._redis.client, namespace, STAGE, KEYED_PARTITIONS)
        return sum(fence.offset + 1 for fence in await space.fences())

    async def states(self, namespace: str) -> int:
        space = Keyspace(self._redis.client, namespace, STAGE, KEYED_PARTITIONS)
        return sum([len(entries) async for _, entries in space.states()])


async def members(settings: Settings, wanted: int) -> None:
    """Runs the service until readers see so many members."""
    async with store(settings) as client:

        async def all_are_members() -> bool:
            return await count(client) == wanted

        await eventually(all_are_members, f"{wanted} members")


@pytest.fixture
async def operator(settings: Settings, redis: RedisClient) -> Operator:
    """The service has applied all updates, and has stopped."""
    await produce(settings, [entered(number) for number in range(PROFILES)])
    await members(settings, PROFILES)
    return Operator(settings, redis)


async def test_a_restore_killed_half_way_is_dropped_and_repeated_to_the_copys_digest(
    operator: Operator, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, other = str(tmp_path / "copy.fsnap"), f"{settings.redis_namespace}r"
    backed_up = await operator.run("backup", "--output", copy)
    killed, _ = await operator.struck("SIGKILL", "restore", "--input", copy, "--namespace", other)
    half, fenced = await operator.states(other), await operator.applied(other)

    refused = await operator.run("restore", "--input", copy, "--namespace", other)
    said = capsys.readouterr().err
    dropped = await operator.run("drop", "--yes", "--namespace", other)
    restored = await operator.run("restore", "--input", copy, "--namespace", other)
    same = [
        await operator.run("verify", "--namespace", other, "--against", side)
        for side in (copy, settings.redis_namespace)
    ]

    assert -9 == killed
    assert 0 < half < PROFILES
    assert 0 == fenced, "no worker would take the half for the whole"
    assert 1 == refused
    assert f"remove it first with `freshet state drop --stage {STAGE} --namespace {other}`" in said
    assert [0, 0, 0, 0, 0] == [backed_up, dropped, restored, *same]


async def test_a_restore_interrupted_half_way_says_what_to_remove(
    operator: Operator, settings: Settings, tmp_path: Path
) -> None:
    copy, other = str(tmp_path / "copy.fsnap"), f"{settings.redis_namespace}i"
    await operator.run("backup", "--output", copy)

    code, said = await operator.struck("SIGINT", "restore", "--input", copy, "--namespace", other)

    assert 130 == code
    assert f"stopped half-way; remove what is there with `freshet state drop --stage {STAGE}" in said


async def test_a_rebuild_interrupted_goes_on_and_readers_and_workers_go_over_to_it(
    operator: Operator, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    green = f"{settings.redis_namespace}g"

    code, said = await operator.struck("SIGINT", "rebuild", "--to", green)
    half = await operator.applied(green)
    rebuilt = await operator.run("rebuild", "--to", green)
    told = capsys.readouterr().out
    same = await operator.run("verify", "--against", green)
    switched = await operator.run("switch", "--to", green)
    await produce(settings, [entered(number) for number in range(PROFILES, PROFILES + 50)])
    await members(settings, PROFILES + 50)

    assert 130 == code
    assert "stopped; give the same command again and it goes on from where it was\ninterrupted\n" in said
    assert 0 < half < PROFILES
    assert f"{STAGE}: {PROFILES - half:,} records into namespace {green}" in told
    assert [0, 0, 0] == [rebuilt, same, switched]
    assert PROFILES + 50 == await operator.applied(green)
    assert PROFILES == await operator.applied(settings.redis_namespace), "the namespace before is left as it was"


async def test_a_backup_interrupted_half_way_leaves_no_file(operator: Operator, tmp_path: Path) -> None:
    code, said = await operator.struck("SIGINT", "backup", "--output", str(tmp_path / "copy.fsnap"))

    assert 130 == code
    assert "interrupted" in said
    assert [] == entries(tmp_path)


def entries(folder: Path) -> list[Path]:
    """All that lies in a folder, hidden files too."""
    return list(folder.iterdir())
