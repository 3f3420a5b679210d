"""All keys below a partition's prefix, wherever Redis keeps them, and whether that stayed one Redis meanwhile.

On a Redis Cluster a partition lies in one slot: the node that owns the slot is scanned. What is read piece by piece is
one copy only if the same server has answered all the way: a slot that moves may be missed on both nodes, and a server
that was restarted or promoted may have lost what was read a moment ago. So the answering server is identified before
and after.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple, TypeVar

from shared.adapters.redis import RedisError, passes
from shared.kernel.errors import Retryable
from shared.kernel.retry import Backoff

T = TypeVar("T")

_SCAN_COUNT = 1_000
_PATIENCE_S = 20.0


class Server(NamedTuple):
    """Who answers for a partition. `id` changes with every start, every promotion and every slot taken over."""

    node: Any
    id: str


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeats a call that may be repeated while Redis fails over or moves a slot, for at most 20 s."""
    loop = asyncio.get_running_loop()
    until, delays = loop.time() + _PATIENCE_S, Backoff().delays(Random())  # noqa: S311 - spreads retries
    while True:
        try:
            return await call()
        except RedisError as error:
            if not passes(error) or loop.time() > until:
                raise
            await asyncio.sleep(next(delays))


async def servers(client: Any, names: Sequence[str]) -> list[Server]:
    """Returns who answers for each of `names`, keys that stand for partitions. Raises Retryable while a slot moves."""
    found = []
    known: dict[Any, Mapping[str, Any]] = {}
    for name in names:
        node, slot = await patiently(partial(_owner, client, name))
        if node not in known:
            known[node] = await patiently(partial(_described, node))
        said = known[node]
        if slot in said["moving"]:
            raise Retryable(f"slot {slot} of the Redis Cluster is being moved, so {name} lies on two nodes at once")
        found.append(Server(node, said["id"]))
    return found


async def _owner(client: Any, name: str) -> tuple[Any, int]:
    if not hasattr(client, "nodes_manager"):  # no client of a cluster
        return client, -1
    await client.exists(name)  # who is asked for a slot that is no longer theirs says who has it, and the map is mended
    slot = client.keyslot(name)
    return client.nodes_manager.get_node_from_slot(slot), slot


async def _described(node: Any) -> Mapping[str, Any]:
    """What tells this server at this time from any other: process, history of replication, and claim to its slots."""
    server = await node.execute_command("INFO", "server")
    replication = await node.execute_command("INFO", "replication")
    parts, moving = [server["run_id"], replication["master_replid"]], set()
    if server.get("redis_mode") == "cluster":
        rows: Mapping[str, Mapping[str, Any]] = await node.execute_command("CLUSTER NODES")
        myself = next(row for row in rows.values() if "myself" in row["flags"])
        parts += [myself["node_id"], myself["epoch"]]
        moving = {int(migration["slot"]) for migration in myself["migrations"]}
    return {"id": " ".join(map(str, parts)), "moving": moving}


async def scan(node: Any, prefix: bytes, kind: str | None = None) -> AsyncGenerator[list[bytes], None]:
    """Yields the names of all keys of one node that begin with `prefix`, some of them twice."""
    pattern = re.sub(rb"([\[\]*?\\^])", rb"\\\1", prefix) + b"*"
    options: list[Any] = ["MATCH", pattern, "COUNT", _SCAN_COUNT, *(("TYPE", kind) if kind else ())]
    cursor = 0
    while True:
        cursor, names = await patiently(partial(node.execute_command, "SCAN", cursor, *options))
        yield names
        if not cursor:
            return


async def keys_of_partition(client: Any, name: str, prefix: str) -> AsyncGenerator[list[bytes], None]:
    """Yields the keys below a partition's `prefix`; `name` is any key of the partition.

    Raises Retryable at the end when another server answers by then: keys may be missing, begin anew.
    """
    (before,) = await servers(client, [name])
    async for names in scan(before.node, prefix.encode()):
        yield names
    (after,) = await servers(client, [name])
    if after.id != before.id:
        raise Retryable(f"Redis was restarted, promoted or moved while the keys of {name} were listed")
