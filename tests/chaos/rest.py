"""When a chaos run has come to rest: nothing waits in a log and no window is open on the wall clock."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import redis

from deploy.demo.pipeline import Pipeline, Quiet
from shared.contracts import redis_keys
from shared.contracts.topics import KEYED_PARTITIONS
from tests.chaos.crew import MAIN, WALL, Crew, Line, tail
from tests.support.waiting import eventually

_GROUPS = {
    MAIN: frozenset({"ingestion", "segmentation", "profile_store", "scoring"}),
    WALL: frozenset({"ingestion", "segmentation"}),
}
_LIMIT_S = 400.0


async def at_rest(
    crew: Crew, say: Any, lines: Sequence[Line] = (MAIN, WALL), without: frozenset[str] = frozenset()
) -> None:
    """Waits until every stage of `lines` but those of `without` has read all there is, and time alone will change
    nothing more."""
    try:
        await asyncio.gather(*(_line_at_rest(crew, line, _GROUPS[line] - without) for line in lines))
        if WALL in lines:
            await eventually(lambda: asyncio.to_thread(_nothing_due, crew), "all windows closed", _LIMIT_S)
    except AssertionError:
        for name in crew.members:
            say("\n".join([f"--- {name}", *(line[:600] for line in tail(crew.layout.log(name), 12))]))
        raise


async def _line_at_rest(crew: Crew, line: Line, groups: frozenset[str]) -> None:
    pipeline, quiet = Pipeline(crew.settings.kafka_bootstrap_servers, line.prefix), Quiet(groups)
    await pipeline.start()
    try:

        async def look() -> bool:
            found = await pipeline.look()
            return found is not None and quiet.note(found)

        await eventually(look, f"the {line.namespace} line at rest", _LIMIT_S)
    finally:
        await pipeline.stop()


def _nothing_due(crew: Crew) -> bool:
    names = [redis_keys.deadlines(WALL.namespace, "segmentation", partition) for partition in range(KEYED_PARTITIONS)]
    with contextlib.suppress(redis.RedisError), redis.Redis(port=crew.inner.redis_port) as client:
        return not any(client.zcard(name) for name in names)
    return False
