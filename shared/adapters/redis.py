"""Redis through redis-py: connection, the start-up check of its configuration, and which errors pass."""

from mode import Service
from redis import asyncio as redis
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, RedisError, ResponseError, TimeoutError

from shared.kernel.errors import ExitCode, Fatal

__all__ = ["RedisClient", "RedisError", "passes"]

_SOCKET_TIMEOUT_S = 10.0
_TRANSIENT_PREFIXES = ("MISCONF", "OOM", "LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN")


def passes(error: RedisError) -> bool:
    """Tells whether trouble passes by itself (down, loading, disk full), so that the same call may be repeated."""
    if isinstance(error, ConnectionError | TimeoutError | BusyLoadingError | ReadOnlyError):
        return True
    return isinstance(error, ResponseError) and str(error).startswith(_TRANSIENT_PREFIXES)


class RedisClient(Service):
    """One connection pool. With `durable`, start refuses a Redis that would evict keys or keep no log."""

    def __init__(self, url: str, *, durable: bool = False) -> None:
        super().__init__()
        self.client: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=_SOCKET_TIMEOUT_S, socket_connect_timeout=2.0, health_check_interval=30
        )
        self._url = url
        self._durable = durable

    async def on_start(self) -> None:
        if self._durable:
            await self._assert_configuration()

    async def _assert_configuration(self) -> None:
        try:
            found = await self.client.config_get("maxmemory-policy")
            found |= await self.client.config_get("appendonly")  # Redis 6 takes one name a call
        except RedisError as error:
            raise Fatal(f"Redis does not answer at start: {error}", ExitCode.RETRY) from error
        policy = found.get("maxmemory-policy")
        if policy != "noeviction":
            raise Fatal(
                f"Redis has maxmemory-policy {policy!r}, which may silently drop profiles; set it to 'noeviction'"
            )
        if found.get("appendonly") != "yes":
            raise Fatal("Redis has appendonly off: state would not survive its restart; set appendonly to 'yes'")

    async def ping(self) -> None:
        """Raises when Redis does not answer."""
        await self.client.ping()

    async def on_stop(self) -> None:
        await self.client.aclose()
