"""The partition's fence in Redis: who may write, up to which offset everything is applied, and the atomic apply.

One script per micro-batch: check the owner and that the batch continues the fence, write every touched state
absolutely (its offset inside), set deadlines and views, and write the fence last. Absolute values and the fence's
place make any torn or rolled-back prefix of Redis' log converge by replay.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from shared.adapters.redis import RedisClient, RedisError, passes
from shared.contracts import redis_keys
from shared.kernel.clock import Micros
from shared.kernel.errors import ExitCode, Fatal
from shared.kernel.retry import Backoff
from shared.runtime.logging import get_logger
from shared.runtime.stage import Due, ViewWrite

T = TypeVar("T")

NO_OFFSET = -1

_CLAIM = """
local offset = redis.call('HGET', KEYS[1], 'offset') or '-1'
local clock = redis.call('HGET', KEYS[1], 'clock') or '0'
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
return {offset, clock}
"""

# KEYS: fence, deadlines, states..., views...   ARGV: owner, expected, next, clock, #states, #deadlines, states...,
# (member, score or '')..., (action, value)...
_APPLY = """
local held = redis.call('HMGET', KEYS[1], 'owner', 'offset')
local offset = held[2] or '-1'
if held[1] ~= ARGV[1] then return {'foreign', offset} end
if offset ~= ARGV[2] then
  if offset == ARGV[3] then return {'repeated', offset} end
  return {'gap', offset}
end
local states, due = tonumber(ARGV[5]), tonumber(ARGV[6])
for i = 1, states do redis.call('SET', KEYS[2 + i], ARGV[6 + i]) end
local a = 6 + states
for i = 1, due do
  local score = ARGV[a + 2 * i]
  if score == '' then redis.call('ZREM', KEYS[2], ARGV[a + 2 * i - 1])
  else redis.call('ZADD', KEYS[2], score, ARGV[a + 2 * i - 1]) end
end
a = a + 2 * due
for i = 1, #KEYS - 2 - states do
  local key, action, value = KEYS[2 + states + i], ARGV[a + 2 * i - 1], ARGV[a + 2 * i]
  if action == 'set' then redis.call('SET', key, value)
  elseif action == 'add' then redis.call('SADD', key, value)
  elseif action == 'remove' then redis.call('SREM', key, value)
  else redis.call('DEL', key) end
end
redis.call('HSET', KEYS[1], 'offset', ARGV[3], 'clock', ARGV[4])
return {'applied', ARGV[3]}
"""


@dataclass(frozen=True, slots=True)
class Position:
    """What a claim found: the last applied offset (-1: none) and the log time reached (µs)."""

    offset: int
    clock: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything one settled micro-batch writes. `expected` and `next`: fence offsets, equal for deadlines alone."""

    expected: int
    next: int
    clock: int
    states: Sequence[tuple[str, bytes]]
    deadlines: Mapping[str, int | None]
    views: Sequence[ViewWrite]


class Fence:
    """The fenced store of one partition of one stage, held under `owner`, a token fresh for each claim."""

    def __init__(
        self,
        redis: RedisClient,
        namespace: str,
        stage: str,
        partition: int,
        owner: str,
        backoff: Backoff,
        random: Random,
    ) -> None:
        self._client: Any = redis.client
        self._where = (namespace, stage, partition)
        self._owner = owner
        self._backoff = backoff
        self._random = random
        self._claim = self._client.register_script(_CLAIM)
        self._apply = self._client.register_script(_APPLY)
        self._log = get_logger("fence").bind(stage=stage, partition=partition)
        self.troubled = False

    async def claim(self) -> Position:
        """Makes this token the owner; whoever held the partition before can write no more."""
        found = await self._patiently(lambda: self._claim(keys=[redis_keys.fence(*self._where)], args=[self._owner]))
        return Position(int(found[0]), int(found[1]))

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """Reads framed states, None where a key has none."""
        names = [redis_keys.state(*self._where, key) for key in keys]
        found: list[bytes | None] = await self._patiently(lambda: self._client.mget(names))
        return found

    async def due(self, until: int, limit: int) -> tuple[list[Due], int | None]:
        """Returns the earliest deadlines at or before `until` (µs), at most `limit`, and the one after them."""
        name = redis_keys.deadlines(*self._where)
        rows = await self._patiently(lambda: self._client.zrange(name, 0, limit, withscores=True))
        entries = [Due(key.decode(), Micros(int(score))) for key, score in rows]
        slice_ = [entry for entry in entries[:limit] if entry.at <= until]
        rest = entries[len(slice_) :]
        return slice_, rest[0].at if rest else None

    async def apply(self, commit: Commit) -> None:
        """Applies one micro-batch at once. Repeats of the same call are harmless.

        Raises Fatal (FENCED) when another worker owns the partition, Fatal (GAP) when the fence is not where this
        worker left it, as after a Redis that came back older: the process ends and starts again from the fence.
        """
        deadlines = [part for key, at in commit.deadlines.items() for part in (key, "" if at is None else at)]
        views = [part for view in commit.views for part in (view.action, view.value)]
        keys = [redis_keys.fence(*self._where), redis_keys.deadlines(*self._where)]
        keys += [redis_keys.state(*self._where, key) for key, _ in commit.states]
        keys += [redis_keys.view(*self._where, view.name) for view in commit.views]
        args: list[Any] = [self._owner, commit.expected, commit.next, commit.clock]
        args += [len(commit.states), len(commit.deadlines), *(raw for _, raw in commit.states), *deadlines, *views]
        word, offset = await self._patiently(lambda: self._apply(keys=keys, args=args))
        if word == b"foreign":
            raise Fatal(f"partition {self._where} belongs to another worker now", ExitCode.FENCED)
        if word == b"gap":
            raise Fatal(
                f"the fence of {self._where} stands at {int(offset)}, expected {commit.expected}: reading it again",
                ExitCode.GAP,
            )

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeats a call while Redis is down or full; every call here may be repeated."""
        delays = self._backoff.delays(self._random)
        while True:
            try:
                result = await call()
            except RedisError as error:
                if not passes(error):
                    raise
                self.troubled = True
                self._log.warning("redis_unavailable", error=str(error))
                await asyncio.sleep(next(delays))
            else:
                self.troubled = False
                return result
