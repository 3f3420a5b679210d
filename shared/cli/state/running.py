"""What the commands of `freshet state` do."""

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared.adapters.redis import RedisClient
from shared.cli.segments.errors import WrongInput
from shared.cli.state.checks import check, readable
from shared.cli.state.connection import Connection, Progress, assert_redis, may_delete, run
from shared.cli.state.stages import STAGES
from shared.kernel.clock import format_instant
from shared.kernel.errors import Fatal, Retryable
from shared.runtime.admin.backup import back_up, restore
from shared.runtime.admin.digest import Comparison, Digests, Side, Told, canonical_form, compare, digest
from shared.runtime.admin.fsnap import SnapshotFile, SnapshotStage
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.admin.rebuild import Rebuild
from shared.runtime.admin.switch import active_space, switch

_NEARLY_ROWS = 1_000


def run_command(name: str, options: argparse.Namespace) -> int:
    """Runs one command of `freshet state`."""
    return run(_connected(_COMMANDS[name], options))


async def _connected(command: "_Command", options: argparse.Namespace) -> int:
    connection = Connection.of(options)
    check(options, connection.redis_namespace)
    redis = _client(connection.redis_url)
    try:
        await assert_redis(redis, connection.redis_url)
        return await command(options, connection, redis)
    except Retryable as error:
        raise await connection.explain(error) from error
    finally:
        await redis.client.aclose()


def _client(url: str) -> RedisClient:
    try:
        return RedisClient(url)
    except ValueError as error:
        raise WrongInput(
            f"the address of Redis is wrong: {error}; write "
            f"redis://host:port/0, with TLS rediss://host:port/0, or redis+cluster://host:port,host:port"
        ) from None


def _space(redis: RedisClient, stage: str, namespace: str) -> Keyspace:
    return Keyspace(redis.client, namespace, stage, STAGES[stage].source.partitions)


def _nothing_in(namespace: str, stage: str) -> WrongInput:
    return WrongInput(f"namespace {namespace!r} holds no state of {stage}: check --namespace and --redis")


async def _backup(options: argparse.Namespace, connection: Connection, redis: RedisClient) -> int:
    spaces = [await active_space(_space(redis, stage, connection.redis_namespace)) for stage in options.stage or STAGES]
    if all([await space.is_empty() for space in spaces]):
        raise _nothing_in(connection.redis_namespace, " or ".join(space.stage for space in spaces))
    progress = Progress("backup", quiet=options.quiet)
    counts: dict[str, int] = {}

    def told(stage: str, done: int) -> None:
        counts[stage] = done
        progress.tell(sum(counts.values()), unit="entries")

    manifest = await back_up(spaces, options.output, time.time_ns() // 1000, told)
    progress.close()
    for stage in manifest.stages:
        print(f"{stage.stage}: {_counted(stage.counts)} of namespace {stage.namespace}, {_fences(stage.fences)}")
    print(f"{options.output}: {options.output.stat().st_size:,} bytes in {len(manifest.chunks)} chunks")
    return 0


async def _restore(options: argparse.Namespace, connection: Connection, redis: RedisClient) -> int:
    file = SnapshotFile(readable(options.input))
    progress = Progress("restore", quiet=options.quiet)
    for name in options.stage or [stage.stage for stage in file.manifest.stages]:
        space = _space(redis, name, connection.redis_namespace)
        stage = await _restored(file, space, progress)
        print(f"{name}: {_counted(stage.counts)} in namespace {space.namespace}, {_fences(stage.fences)}")
    return 0


async def _restored(file: SnapshotFile, space: Keyspace, progress: Progress) -> SnapshotStage:
    try:
        stage = await restore(file, space, lambda _, done: progress.tell(done, unit="entries"))
    except asyncio.CancelledError:
        progress.insist(
            f"stopped half-way; remove what is there with `freshet state drop --stage {space.stage} --namespace "
            f"{space.namespace}`, then give the same command again"
        )
        raise
    progress.close()
    return stage


async def _verify(options: argparse.Namespace, connection: Connection, redis: RedisClient) -> int:
    space = await active_space(_space(redis, options.stage, connection.redis_namespace))
    if await space.is_empty():
        raise _nothing_in(space.namespace, space.stage)
    canonical = canonical_form(STAGES[options.stage].load_codec())
    before = await space.fences()
    progress = Progress(f"verify of {space.stage}", quiet=options.quiet)
    found = await digest(Side(space, space.stage, progress.tell_more), space.partitions, canonical)
    moving = [fence.offset for fence in before] != [fence.offset for fence in await space.fences()]
    comparison = None
    if options.against is not None:
        other = await _other_side(options, redis, progress.tell_more)
        comparison = await compare(other, space, canonical)
    progress.close()
    if options.format == "json":
        answer = {"namespace": space.namespace, "stage": space.stage, "moving": moving, **asdict(found)}
        answer["fences"] = [asdict(fence) for fence in before]
        if comparison is not None:
            answer["differences"] = {"count": comparison.count, "first": [d._asdict() for d in comparison.first]}
        print(json.dumps(answer, indent=2))
    else:
        _print_digests(space, found, before, moving)
        if comparison is not None:
            _print_comparison(comparison, options.against, space.namespace)
    return 1 if comparison is not None and comparison.count else 0


async def _other_side(options: argparse.Namespace, redis: RedisClient, told: Told) -> Side:
    path = Path(options.against)
    if path.suffix == ".fsnap":
        file = SnapshotFile(readable(path))
        if file.manifest.stage(options.stage) is None:
            raise Fatal(f"{path} does not hold {options.stage}")
        return Side(file, options.stage, told)
    other = _space(redis, options.stage, options.against)
    if await other.is_empty():
        raise _nothing_in(options.against, options.stage)
    return Side(other, options.stage, told)


async def _rebuild(options: argparse.Namespace, connection: Connection, redis: RedisClient) -> int:
    live = await active_space(_space(redis, options.stage, connection.redis_namespace))
    new = _space(redis, options.stage, options.to)
    if all(fence.offset < 0 for fence in await live.fences()):
        raise Fatal(
            f"workers have applied nothing in namespace {live.namespace!r}, so there is nothing to rebuild beside "
            f"them: start workers, which replay the log from its start by themselves"
        )
    rebuild = await _rebuild_of(options, connection, redis, new, live.namespace)
    progress = Progress(f"rebuild of {options.stage}", quiet=options.quiet)
    if options.source is not None and await new.is_empty():
        await _restored(SnapshotFile(readable(options.source)), new, progress)
        progress.say(f"{options.source} is in place")
    began = time.monotonic()
    total = await _caught_up(rebuild, progress)
    took = time.monotonic() - began
    print(f"{options.stage}: {total:,} records into namespace {new.namespace} in {took:.1f} s ({total / took:,.0f}/s)")
    print(f"next: freshet state switch --stage {options.stage} --to {new.namespace}")
    return 0


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Keeps the collector from walking every decoded event several times, as in a worker."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _caught_up(rebuild: Rebuild, progress: Progress) -> int:
    """Follows the live fence until it is nearly reached; returns how many records that took."""
    total = 0
    try:
        with _rare_collections():
            while rows := await rebuild.catch_up(progress.tell):
                total += rows
                if rows < _NEARLY_ROWS:
                    break
    except asyncio.CancelledError:
        progress.insist("stopped; give the same command again and it goes on from where it was")
        raise
    progress.close()
    return total


async def _switch(options: argparse.Namespace, connection: Connection, redis: RedisClient) -> int:
    root = _space(redis, options.stage, connection.redis_namespace)
    new = _space(redis, options.stage, options.to)
    if await new.is_empty():
        raise WrongInput(
            f"namespace {options.to!r} holds no state of {options.stage}: rebuild or restore into it first"
        )
    rebuild = await _rebuild_of(options, connection, redis, new, None)
    progress = Progress(f"switch of {options.stage}", quiet=options.quiet)
    switched = await switch(root, rebuild, comparing=not options.no_compare, told=progress.say)
    if switched.comparison is not None and switched.comparison.count:
        _print_comparison(switched.comparison, "the live namespace", new.namespace)
        print("nothing was switched; workers go on where they were")
        return 1
    if not switched.partitions:
        print(f"{options.stage} runs on {new.namespace} already")
        return 0
    compared = "compared, no difference" if switched.comparison is not None else "not compared"
    print(f"{options.stage} runs on {new.namespace} now ({compared}); workers end with exit code 70 and start there")
    print("the namespace before is kept; remove it with `freshet state drop` once nobody wants it back")
    return 0


async def _drop(options: argparse.Namespace, connection: Connection, redis: RedisClient) -> int:
    space = _space(redis, options.stage, connection.redis_namespace)
    question = f"Delete all state of {space.stage} in namespace {space.namespace}?"
    if not options.yes and not await may_delete(question):
        return 1
    print(f"{await space.drop():,} keys deleted")
    return 0


async def _rebuild_of(
    options: argparse.Namespace, connection: Connection, redis: RedisClient, new: Keyspace, live: str | None
) -> Rebuild:
    kafka, prefix = connection.kafka_access, connection.topic_prefix
    stage = await STAGES[options.stage].make_stage(kafka, prefix)
    return Rebuild(stage, kafka, prefix, redis, new, live)


def _print_digests(space: Keyspace, found: Digests, fences: Any, moving: bool) -> None:
    print(f"{space.stage} in namespace {space.namespace}")
    for kind in ("states", "deadlines", "views"):
        print(f"  {kind:<10} {getattr(found, kind)}  {found.counts[kind]:,}")
    print(f"  {'total':<10} {found.total}")
    for fence in fences:
        clock = format_instant(fence.clock) if fence.clock else "no time yet"
        print(f"  partition {fence.partition}: applied up to offset {fence.offset}, {clock}")
    if moving:
        print("  workers went on meanwhile: the digests are of no single instant")


def _print_comparison(comparison: Comparison, first: str, second: str) -> None:
    if not comparison.count:
        print(f"no difference between {first} and {second}")
        return
    print(f"{comparison.count:,} differences between {first} (first) and {second} (second):")
    for found in comparison.first:
        print(f"  partition {found.partition}  {found.name}  {found.what}")
    if comparison.count > len(comparison.first):
        print(f"  and {comparison.count - len(comparison.first):,} more")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind} entries" for kind, count in sorted(counts.items())) or "nothing"


def _fences(fences: Any) -> str:
    return "fences " + " ".join(str(fence.offset) for fence in fences)


_Command = Callable[[argparse.Namespace, Connection, RedisClient], Awaitable[int]]
_COMMANDS: dict[str, _Command] = {
    "backup": _backup,
    "restore": _restore,
    "verify": _verify,
    "rebuild": _rebuild,
    "switch": _switch,
    "drop": _drop,
}
