"""Copying a stage's state out of Redis while workers run, and back into an empty namespace.

Out: in the order that makes a copy exact (`keyspace`): fences, then states with their deadlines, then views.
Back: the other way round, views, states, notes, fences last. Killed in between, no fence is there, so a worker
replays the log from its start: states that came back already are skipped up to their own offset, their views lie
there since before, all others are made anew; and where the log no longer reaches back so far, the worker refuses
(exit code 72).
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

from shared.adapters.redis import RedisError
from shared.contracts import redis_keys
from shared.kernel.errors import ExitCode, Fatal, Retryable
from shared.runtime.admin.fsnap import EntryKind, Manifest, SnapshotFence, SnapshotFile, SnapshotStage, SnapshotWriter
from shared.runtime.admin.hold import Hold
from shared.runtime.admin.keyspace import Keyspace, Kind, StateEntry, ViewEntry
from shared.runtime.admin.scan import patiently

_SLICE = 256

Report = Callable[[str, int], None]
"""Called with a stage's name and how many entries are done."""

# KEYS: fence, deadlines, states...   ARGV: owner, (key, framed or '', deadline or '')...
_PUT_STATES = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
for i = 1, #KEYS - 2 do
  local key, framed, deadline = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  if framed ~= '' then redis.call('SET', KEYS[2 + i], framed) end
  if deadline ~= '' then redis.call('ZADD', KEYS[2], deadline, key) end
end
return 1
"""

# KEYS: fence, view   ARGV: owner, kind, members...
_PUT_VIEW = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
for i = 3, #ARGV do
  if ARGV[2] == 'string' or ARGV[2] == 'note' then redis.call('SET', KEYS[2], ARGV[i])
  elseif ARGV[2] == 'set' then redis.call('SADD', KEYS[2], ARGV[i])
  elseif i % 2 == 1 then redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
return 1
"""

# KEYS: fence   ARGV: owner, offset, clock, silent
_PUT_FENCE = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'silent', '1') end
redis.call('HSET', KEYS[1], 'offset', ARGV[2], 'clock', ARGV[3])
return 1
"""


async def back_up(spaces: Sequence[Keyspace], path: Path, now: int, report: Report = lambda *_: None) -> Manifest:
    """Writes the stages' state to `path`. `now`: µs, for the manifest. Memory is bounded by a few MiB a partition.

    Raises Retryable, and leaves no file, when a stage was not read from one and the same Redis.
    """
    with SnapshotWriter(path) as writer:
        for space in spaces:
            async with space.steady():
                writer.add_stage(await _copy(space, writer, report))
        return writer.finish(now)


async def _copy(space: Keyspace, writer: SnapshotWriter, report: Report) -> SnapshotStage:
    fences = [SnapshotFence(fence.partition, fence.offset, fence.clock, fence.silent) for fence in await space.fences()]
    counts: dict[str, int] = {}
    parts: tuple[tuple[EntryKind, AsyncGenerator[tuple[int, Sequence[Any]], None]], ...] = (
        ("note", space.views("note")),
        ("hash", space.views("hash")),
        ("state", space.states()),
        ("state", space.lone_deadlines()),
        ("string", space.views("string")),
        ("set", space.views("set")),
    )
    for kind, entries in parts:
        async with aclosing(entries) as slices:
            async for partition, slice_ in slices:
                writer.add(space.stage, partition, kind, slice_)
                counts[kind] = counts.get(kind, 0) + len(slice_)
                report(space.stage, sum(counts.values()))
        writer.end_part()
    return SnapshotStage(space.stage, space.namespace, space.partitions, fences, counts)


async def restore(file: SnapshotFile, space: Keyspace, report: Report = lambda *_: None) -> SnapshotStage:
    """Writes one stage of `file` into `space`, which must be empty; workers wait meanwhile.

    Raises Fatal: the file lacks the stage or is damaged, the namespace holds something, or a worker took a partition
    over (this process was stopped for longer than 30 s), or Redis was restarted or replaced meanwhile.
    """
    stage = file.manifest.stage(space.stage)
    if stage is None or stage.partitions != space.partitions:
        held = ", ".join(f"{found.stage} with {found.partitions} partitions" for found in file.manifest.stages)
        raise Fatal(f"{file.path} holds {held}, not {space.stage} with {space.partitions} partitions")
    file.verify()
    await _refuse_unless_empty(space)
    async with Hold(space, range(space.partitions)) as hold:
        await hold.take()
        await _refuse_unless_empty(space)  # a worker may have written until its token was taken
        await _Restoring(file, space, hold.token, report).run(stage)
    return stage


def half_restored(space: Keyspace, why: object, code: int = ExitCode.RETRY) -> Fatal:
    """What to say of a namespace that holds a part of a copy, or perhaps lost one."""
    return Fatal(
        f"{why}. Namespace {space.namespace!r} is half restored: remove what is there with `freshet state drop "
        f"--stage {space.stage} --namespace {space.namespace}`, then restore again",
        code,
    )


async def _refuse_unless_empty(space: Keyspace) -> None:
    if not await space.is_empty():
        raise Fatal(
            f"namespace {space.namespace!r} already holds state of {space.stage}: restore into another one and switch "
            f"to it, or remove it first with `freshet state drop --stage {space.stage} --namespace {space.namespace}`"
        )


class _Restoring:
    def __init__(self, file: SnapshotFile, space: Keyspace, token: str, report: Report) -> None:
        self._file = file
        self._space = space
        self._token = token
        self._report = report
        self._done = 0
        self._put_states = space.client.register_script(_PUT_STATES)
        self._put_view = space.client.register_script(_PUT_VIEW)
        self._put_fence = space.client.register_script(_PUT_FENCE)

    async def run(self, stage: SnapshotStage) -> None:
        try:
            async with self._space.steady() as steady:
                await self._contents(stage)
                await steady.check()  # a server that lost its tail must not get fences that say it has all
                await self._fences(stage)
        except Retryable as error:
            await self._unfence()
            raise half_restored(self._space, error) from error
        except RedisError as error:
            raise half_restored(self._space, f"Redis does not answer: {error}") from error

    async def _contents(self, stage: SnapshotStage) -> None:
        await self._views(stage, ("set", "string"))
        for partition, entries in self._file.states(stage.stage):
            for start in range(0, len(entries), _SLICE):
                await self._states(partition, entries[start : start + _SLICE])
            self._told(entries)
        await self._views(stage, ("hash", "note"))

    async def _fences(self, stage: SnapshotStage) -> None:
        for fence in stage.fences:
            if fence.offset >= 0:
                args = [self._token, fence.offset, fence.clock, int(fence.silent)]
                keys = [self._fence(fence.partition)]
                self._check(fence.partition, await patiently(partial(self._put_fence, keys=keys, args=args)))

    async def _unfence(self) -> None:
        """Takes fences back while workers are still held: without one, a worker starts from the log."""
        for partition in range(self._space.partitions):
            await patiently(partial(self._space.client.hdel, self._fence(partition), "offset", "clock", "silent"))

    async def _views(self, stage: SnapshotStage, kinds: Sequence[Kind]) -> None:
        for kind in kinds:
            for partition, views in self._file.views(stage.stage, kind):
                for view in views:
                    keys = [self._fence(partition), self._space.name(partition, view.name)]
                    args = [self._token, kind, *view.members]
                    self._check(partition, await patiently(partial(self._put_view, keys=keys, args=args)))
                self._told(views)

    async def _states(self, partition: int, entries: Sequence[StateEntry]) -> None:
        deadlines = redis_keys.deadlines(self._space.namespace, self._space.stage, partition)
        names = [self._space.name(partition, b"state:" + entry.key) for entry in entries]
        keys = [self._fence(partition), deadlines, *names]
        args: list[Any] = [self._token]
        for entry in entries:
            args += [entry.key, entry.framed or b"", "" if entry.deadline is None else entry.deadline]
        self._check(partition, await patiently(partial(self._put_states, keys=keys, args=args)))

    def _fence(self, partition: int) -> str:
        return redis_keys.fence(self._space.namespace, self._space.stage, partition)

    def _told(self, entries: Sequence[StateEntry | ViewEntry]) -> None:
        self._done += len(entries)
        self._report(self._space.stage, self._done)

    def _check(self, partition: int, written: int) -> None:
        if not written:
            why = f"a worker took {self._space.stage} partition {partition} over, or Redis came back older"
            raise half_restored(self._space, why, ExitCode.FENCED)
