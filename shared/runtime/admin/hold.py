"""Keeps workers off partitions while their state is written by somebody else.

A held partition is not claimed (`Fence.claim` waits); `take` makes whoever claimed it before unable to write (the
worker ends with exit code 70 and waits at the claim). A holder that dies is forgotten after 30 s; what it may still
do then is refused by its owner token, like that of any other worker.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Self
from uuid import uuid4

from shared.adapters.redis import RedisError
from shared.contracts import redis_keys
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.admin.keyspace import Keyspace

_EXPIRES_MS = 30_000
_RENEWED_S = 5.0

# KEYS: hold   ARGV: token
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Hold:
    """Holds `partitions` of `space` for the block. Raises Fatal when somebody else does already."""

    def __init__(self, space: Keyspace, partitions: Sequence[int]) -> None:
        self._client: Any = space.client
        self._space = space
        self._partitions = partitions
        self.token = uuid4().hex
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            for partition in self._partitions:
                if not await self._client.set(self._name(partition), self.token, nx=True, px=_EXPIRES_MS):
                    raise Fatal(
                        f"{self._space.stage} partition {partition} of {self._space.namespace!r} is held by another "
                        f"restore or switch; wait for its end (a killed one is forgotten after "
                        f"{_EXPIRES_MS // 1000} s)",
                        ExitCode.RETRY,
                    )
        except BaseException:
            await self._release()
            raise
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
        await self._release()

    async def take(self) -> None:
        """Makes this token the owner of every held partition."""
        for partition in self._partitions:
            key = redis_keys.fence(self._space.namespace, self._space.stage, partition)
            await self._client.hset(key, "owner", self.token)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEWED_S)
            # Trouble may pass; if it does not, the owner token refuses whatever is written too late.
            with contextlib.suppress(RedisError, OSError):
                for partition in self._partitions:
                    await self._client.pexpire(self._name(partition), _EXPIRES_MS)

    async def _release(self) -> None:
        for partition in self._partitions:
            with contextlib.suppress(RedisError, OSError):
                await self._client.eval(_RELEASE, 1, self._name(partition), self.token)

    def _name(self, partition: int) -> str:
        return redis_keys.hold(self._space.namespace, self._space.stage, partition)
