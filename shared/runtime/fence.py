"""The partition's fence in Redis: who may write, up to which offset everything is applied, and the atomic apply.

One script per micro-batch: check the owner and that the batch continues the fence, write views, deadlines and every
touched state absolutely (its offset inside), and the fence last. Absolute values and this order make any torn or
rolled-back prefix of Redis' log converge by replay: a replay skips records that a state contains already, so what
belongs to a state must not lie behind it. Deadlines that have fired alone are cleared after their states: there is no
record to replay, and a deadline that comes again finds a state that has had it.
"""

import asyncio
import math
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
_HELD_POLL_S = 0.5

_CLAIM = """
local offset = redis.call('HGET', KEYS[1], 'offset') or '-1'
local clock = redis.call('HGET', KEYS[1], 'clock') or '0'
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
return {offset, clock, redis.call('HGET', KEYS[1], 'moved') or '', redis.call('HGET', KEYS[1], 'commits') or '0'}
"""

# KEYS: fence, deadlines, states..., views...   ARGV: owner, expected, next, clock, commits, commits + 1, #states,
# #deadlines, states..., (member, score or '')..., (action, value)...
# Offsets alone do not tell batches of deadlines apart; `commits` counts every batch.
_APPLY = """
local held = redis.call('HMGET', KEYS[1], 'owner', 'offset', 'commits')
local offset, commits = held[2] or '-1', held[3] or '0'
if held[1] ~= ARGV[1] then return {'foreign', offset} end
if offset ~= ARGV[2] or commits ~= ARGV[5] then
  if offset == ARGV[3] and commits == ARGV[6] then return {'repeated', offset} end
  return {'gap', offset}
end
local states, due = tonumber(ARGV[7]), tonumber(ARGV[8])
local a = 8 + states + 2 * due
for i = 1, #KEYS - 2 - states do
  local key, action, value = KEYS[2 + states + i], ARGV[a + 2 * i - 1], ARGV[a + 2 * i]
  if action == 'set' then redis.call('SET', key, value)
  elseif action == 'add' then redis.call('SADD', key, value)
  elseif action == 'remove' then redis.call('SREM', key, value)
  else redis.call('DEL', key) end
end
local function write_states()
  for i = 1, states do redis.call('SET', KEYS[2 + i], ARGV[8 + i]) end
end
if ARGV[2] == ARGV[3] then write_states() end
a = 8 + states
for i = 1, due do
  local score = ARGV[a + 2 * i]
  if score == '' then redis.call('ZREM', KEYS[2], ARGV[a + 2 * i - 1])
  else redis.call('ZADD', KEYS[2], score, ARGV[a + 2 * i - 1]) end
end
if ARGV[2] ~= ARGV[3] then write_states() end
redis.call('HSET', KEYS[1], 'offset', ARGV[3], 'clock', ARGV[4], 'commits', ARGV[6])
return {'applied', ARGV[3]}
"""

# KEYS: fence, states...   States and what tells whether they are the ones this worker left, at one moment.
_LOAD = """
local held = redis.call('HMGET', KEYS[1], 'owner', 'commits')
return {held[1] or '', held[2] or '0', redis.call('MGET', unpack(KEYS, 2))}
"""
_LOAD_KEYS_MAX = 4_000

# KEYS: fence, deadlines   ARGV: until, limit   What is due, at most `limit`, and the one after it.
_DUE = """
local held = redis.call('HMGET', KEYS[1], 'owner', 'commits')
local count = math.min(redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[1]), tonumber(ARGV[2]))
return {held[1] or '', held[2] or '0', redis.call('ZRANGE', KEYS[2], 0, count, 'WITHSCORES')}
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
        self._load = self._client.register_script(_LOAD)
        self._due = self._client.register_script(_DUE)
        self._log = get_logger("fence").bind(stage=stage, partition=partition)
        self._commits = 0
        self.troubled = False

    async def claim(self) -> Position:
        """Makes this token the owner; whoever held the partition before can write no more.

        Waits while a restore or a switch holds the partition, and follows a switch to the namespace in charge.
        """
        while True:
            await self._unheld()
            offset, clock, moved, commits = await self._patiently(self._take)
            if not moved:
                self._commits = int(commits)
                return Position(int(offset), int(clock))
            self._where = (moved.decode(), *self._where[1:])
            self._log.info("fence_moved", namespace=moved.decode())

    def _take(self) -> Awaitable[tuple[bytes, bytes, bytes, bytes]]:
        taken: Awaitable[tuple[bytes, bytes, bytes, bytes]] = self._claim(
            keys=[redis_keys.fence(*self._where)], args=[self._owner]
        )
        return taken

    async def _unheld(self) -> None:
        held = redis_keys.hold(*self._where)
        while await self._patiently(lambda: self._client.exists(held)):
            self._log.info("partition_held", by="a restore or a switch; it is free again 30 s after that ended")
            await asyncio.sleep(_HELD_POLL_S)

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """Reads framed states, None where a key has none. Raises Fatal as `apply` does.

        A Redis that came back older would give states older than what this worker has decided since; outputs made
        from them would be wrong, and out before the fence refuses.
        """
        found: list[bytes | None] = []
        prefix = redis_keys.state(*self._where, "")
        for first in range(0, len(keys), _LOAD_KEYS_MAX):
            names = [prefix + key for key in keys[first : first + _LOAD_KEYS_MAX]]
            found += await self._read(self._load, [redis_keys.fence(*self._where), *names])
        return found

    async def due(
        self, until: int, limit: int, decided: Mapping[str, int | None] | None = None
    ) -> tuple[list[Due], int | None]:
        """Returns the earliest deadlines at or before `until` (µs), at most `limit`, and when to look again.

        `decided`: what batches that are not applied yet have decided since (None: no deadline). With it nothing may
        be due although the one after is: then more of them must be applied first. Raises Fatal as `apply` does.
        """
        names = [redis_keys.fence(*self._where), redis_keys.deadlines(*self._where)]
        rows = await self._read(self._due, names, until, limit)
        entries = [Due(key.decode(), Micros(int(score))) for key, score in zip(rows[::2], rows[1::2], strict=True)]
        hidden = entries[-1] if len(entries) > limit or (entries and entries[-1].at > until) else None
        if decided:
            entries = overlaid(entries, hidden, decided)
        slice_ = [entry for entry in entries[:limit] if entry.at <= until]
        rest = entries[len(slice_) :] or ([hidden] if hidden else [])
        return slice_, rest[0].at if rest else None

    async def _read(self, script: Callable[..., Awaitable[Any]], names: Sequence[str], *args: Any) -> Any:
        commits = self._commits
        owner, found, answer = await self._patiently(lambda: script(keys=names, args=args))
        error = self._difference(owner, int(found) >= commits)
        if error is not None:
            raise error
        return answer

    async def apply(self, commit: Commit) -> None:
        """Applies one micro-batch at once. Repeats of the same call are harmless.

        Raises Fatal (FENCED) when another worker owns the partition, Fatal (GAP) when the fence is not where this
        worker left it, as after a Redis that came back older: the process ends and starts again from the fence.
        """
        deadlines = [part for key, at in commit.deadlines.items() for part in (key, "" if at is None else at)]
        views = [part for write in commit.views for part in (write.action, write.value)]
        state, view = redis_keys.state(*self._where, ""), redis_keys.view(*self._where, "")
        keys = [redis_keys.fence(*self._where), redis_keys.deadlines(*self._where)]
        keys += [state + key for key, _ in commit.states]
        keys += [view + write.name for write in commit.views]
        args: list[Any] = [self._owner, commit.expected, commit.next, commit.clock]
        args += [self._commits, self._commits + 1]
        args += [len(commit.states), len(commit.deadlines), *(raw for _, raw in commit.states), *deadlines, *views]
        word, offset = await self._patiently(lambda: self._apply(keys=keys, args=args))
        if word == b"foreign":
            raise self._foreign()
        if word == b"gap":
            raise Fatal(
                f"the fence of {self._where} stands at {int(offset)}, expected {commit.expected}: reading it again",
                ExitCode.GAP,
            )
        self._commits += 1

    async def strayed(self) -> Fatal | None:
        """Tells whether Redis is not where this worker left it, as after it came back older while nothing happened.

        True only while no `apply` is under way. A Redis that does not answer has not strayed: it is asked again.
        """
        try:
            owner, commits = await self._client.hmget(redis_keys.fence(*self._where), ["owner", "commits"])
        except RedisError as error:
            if not passes(error):
                raise
            return None
        return self._difference(owner or b"", int(commits or 0) == self._commits)

    def _difference(self, owner: bytes, in_place: bool) -> Fatal | None:
        if owner not in (b"", self._owner.encode()):
            return self._foreign()
        if owner and in_place:
            return None
        return Fatal(f"the fence of {self._where} has gone back: reading it again", ExitCode.GAP)

    def _foreign(self) -> Fatal:
        return Fatal(f"partition {self._where} belongs to another worker now", ExitCode.FENCED)

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


def overlaid(found: Sequence[Due], hidden: Due | None, decided: Mapping[str, int | None]) -> list[Due]:
    """Puts decisions in the place of what Redis holds, in Redis' order. Nothing is known of what follows `hidden`."""
    last = math.inf if hidden is None else hidden.at
    entries = [entry for entry in found if entry.key not in decided]
    entries += [Due(key, Micros(at)) for key, at in decided.items() if at is not None and at <= last]
    entries.sort(key=_place)
    return [entry for entry in entries if hidden is None or _place(entry) <= _place(hidden)]


def _place(entry: Due) -> tuple[int, bytes]:
    return entry.at, entry.key.encode()
