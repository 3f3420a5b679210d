"""Copies taken from running workers restore exactly, whatever moment they were taken at."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from shared.contracts.topics import KEYED_PARTITIONS
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.admin.backup import back_up, restore
from shared.runtime.admin.digest import Side, canonical_form, compare, digest
from shared.runtime.admin.fsnap import SnapshotFile
from shared.runtime.admin.keyspace import FenceView, Keyspace, Kind, ViewEntry
from shared.runtime.state import unframe
from tests.integration.runtime.admin.conftest import PROFILES, World, exit_code, expected
from tests.support.counting import CountCodec

pytestmark = pytest.mark.platform

CANONICAL = canonical_form(CountCodec())


def beyond_the_fence(file: SnapshotFile) -> int:
    (stage,) = file.manifest.stages
    fences = {fence.partition: fence.offset for fence in stage.fences}
    return sum(
        unframe(entry.framed or b"")[0] > fences[partition]
        for partition, entries in file.states("counting")
        for entry in entries
    )


class WatchedSpace(Keyspace):
    """Lets batches land between the parts of a copy: after the fences, and between states and views."""

    def __init__(self, world: World) -> None:
        space = world.space()
        super().__init__(space.client, space.namespace, space.stage, space.partitions)
        self._world = world

    async def fences(self) -> list[FenceView]:
        found = await super().fences()
        await self._land()
        return found

    async def views(self, kind: Kind) -> AsyncGenerator[tuple[int, list[ViewEntry]], None]:
        if kind == "string":
            await self._land()
        async for found in super().views(kind):
            yield found

    async def _land(self) -> None:
        produced = self._world.produced
        await self._world.produce(range(produced, produced + 800))
        await self._world.applied(self._world.space(), produced + 500)


async def test_a_copy_taken_while_batches_land_restores_to_the_same_state(world: World, tmp_path: Path) -> None:
    """Two copies of a worker at work; states beyond the fence are in them, and replay leaves them alone."""
    with world.worker():
        await world.produce(range(2_000))
        for copy in range(2):
            await world.applied(world.space(), total := 2_000 + copy * 1_600)
            await back_up([WatchedSpace(world)], tmp_path / f"{copy}.fsnap", copy)
        await world.applied(world.space(), total := total + 1_600)
    files = [SnapshotFile(tmp_path / f"{copy}.fsnap") for copy in range(2)]
    spaces = [world.elsewhere() for _ in files]
    for file, space in zip(files, spaces, strict=True):
        await restore(file, space)
        await world.rebuild(space, None).catch_up()

    read: list[int] = []
    side = Side(world.space(), "counting", read.append)
    whole = await digest(side, KEYED_PARTITIONS, CANONICAL)
    told = sum(read)
    found = [await digest(Side(space, "counting"), KEYED_PARTITIONS, CANONICAL) for space in spaces]
    assert [whole] * 2 == found
    assert expected(total) == await world.counts(spaces[0])
    assert all(beyond_the_fence(file) > 0 for file in files)
    assert 0 == (await compare(side, spaces[1], CANONICAL)).count
    assert PROFILES <= told <= sum(whole.counts.values())
    assert 3 * told == sum(read), "a comparison reads both sides"


async def test_a_restore_fences_out_workers_and_refuses_a_namespace_in_use(world: World, tmp_path: Path) -> None:
    path = tmp_path / "copy.fsnap"
    with world.worker() as process:
        await world.produce(range(1_000))
        await world.applied(world.space(), 1_000)
        await back_up([world.space()], path, 0)
        await world.space().drop()
        await restore(SnapshotFile(path), world.space())
        with pytest.raises(Fatal, match="already holds state of counting"):
            await restore(SnapshotFile(path), world.space())
        await world.produce(range(1_000, 2_000))
        code = await exit_code(process)
    await world.rebuild(world.space(), None).catch_up()

    assert code in (ExitCode.FENCED, ExitCode.GAP)
    assert expected(2_000) == await world.counts(world.space())


async def test_a_restore_killed_half_way_leaves_nothing_that_a_worker_would_get_wrong(
    world: World, tmp_path: Path
) -> None:
    """Stopped after a part of the states: no fence is there, so a worker replays, past what came back already."""
    path, space = tmp_path / "copy.fsnap", world.elsewhere()
    await world.produce(range(4_000))
    await world.rebuild(world.space(), None).catch_up()
    await back_up([world.space()], path, 0)

    def killed(_: str, done: int) -> None:
        if done > PROFILES // 2:
            raise ConnectionResetError("killed")

    with pytest.raises(ConnectionResetError):
        await restore(SnapshotFile(path), space, killed)
    half = await world.counts(space)
    unfenced = await space.fences()
    await world.rebuild(space, None).catch_up()

    assert 0 < len(half) < PROFILES
    assert [-1] * 8 == [fence.offset for fence in unfenced]
    assert 0 == (await compare(Side(world.space(), "counting"), space, CANONICAL)).count


async def test_a_damaged_file_is_refused_before_anything_is_written(world: World, tmp_path: Path) -> None:
    path, space = tmp_path / "copy.fsnap", world.elsewhere()
    await world.produce(range(500))
    await world.rebuild(world.space(), None).catch_up()
    await back_up([world.space()], path, 0)
    raw = bytearray(path.read_bytes())
    raw[40] ^= 1
    path.write_bytes(raw)

    with pytest.raises(Fatal, match="is no whole snapshot"):
        await restore(SnapshotFile(path), space)

    assert await space.is_empty()
