"""A Redis that is killed and started again under a command has lost its tail: no copy, and no restore, hides that."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from deploy.local import redis_server
from shared.contracts.topics import KEYED_PARTITIONS
from shared.kernel.errors import ExitCode, Fatal, Retryable
from shared.runtime.admin.backup import back_up, restore
from shared.runtime.admin.fsnap import SnapshotFile
from tests.integration.runtime.admin.conftest import Interrupted, World, connected, expected, files
from tests.support.platform import EmbeddedPlatform, free_ports
from tests.support.waiting import wait_until

pytestmark = pytest.mark.platform

TOTAL = 2_000


@dataclass
class OwnRedis:
    """A server of this test alone, which it may kill."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        command = [str(redis_server.find_server().path)]
        command += redis_server.configuration("127.0.0.1", self.port, self.folder, 0)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "Redis")

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnRedis]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = OwnRedis(folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def world(platform: EmbeddedPlatform, own: OwnRedis) -> AsyncIterator[World]:
    async with connected(platform, f"redis://127.0.0.1:{own.port}/0") as found:
        await found.produce(range(TOTAL))
        await found.rebuild(found.space(), None).catch_up()
        yield found


async def test_a_restart_during_a_copy_leaves_no_copy(world: World, own: OwnRedis, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()

    with pytest.raises(Retryable, match="was restarted, replaced or emptied"):
        await back_up([Interrupted(world.space(), lambda: asyncio.to_thread(own.restart))], folder / "a.fsnap", 0)

    assert [] == files(folder)


async def test_a_restart_during_a_restore_leaves_no_fence_and_says_what_to_do(
    world: World, own: OwnRedis, tmp_path: Path
) -> None:
    path, space, waiting = tmp_path / "copy.fsnap", world.elsewhere(), [own.restart]
    await back_up([world.space()], path, 0)

    def restarted(_: str, done: int) -> None:
        if waiting and done > 200:
            waiting.pop()()

    with pytest.raises(Fatal, match="is half restored: remove what is there with `freshet state drop") as error:
        await restore(SnapshotFile(path), space, restarted)
    offsets = [fence.offset for fence in await space.fences()]
    await space.drop()
    await restore(SnapshotFile(path), space)

    assert error.value.exit_code in (ExitCode.RETRY, ExitCode.FENCED)
    assert [-1] * KEYED_PARTITIONS == offsets
    assert expected(TOTAL) == await world.counts(space)
