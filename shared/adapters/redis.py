"""Redis through redis-py: connection, the start-up check of its configuration, and which errors pass."""

import asyncio
import re
from typing import Any

import hiredis
from mode import Service
from redis import asyncio as redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterError,
    ConnectionError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,
)

from shared.adapters.redis_pipe import Pipe, Script
from shared.kernel.errors import ExitCode, Fatal

__all__ = ["AuthenticationError", "RedisClient", "RedisError", "ResponseError", "passes"]

CLUSTER_SCHEME = "redis+cluster"
_SOCKET_TIMEOUT_S = 10.0
_TRANSIENT = re.compile(r"(?:^|\s-?)(?:MISCONF|OOM|LOADING|READONLY|CLUSTERDOWN|TRYAGAIN|MASTERDOWN)\s")
"""The code of the error, at its beginning or, before Redis 7, inside what a script reports of one of its commands."""


def passes(error: RedisError) -> bool:
    """Tells whether trouble passes by itself (down, loading, disk full), so that the same call may be repeated."""
    if isinstance(error, ConnectionError | TimeoutError | BusyLoadingError | ReadOnlyError):
        return True
    return isinstance(error, ResponseError) and _TRANSIENT.search(f"{error} ") is not None


class _Connection(redis.Connection):
    """Packs commands in C: a script has thousands of arguments, which redis-py packs in Python on its asyncio side."""

    def pack_command(self, *args: Any) -> list[bytes]:
        head, *rest = args  # a command's name may hold several words, such as CONFIG GET
        words = head.split() if isinstance(head, str | bytes) else (head,)
        return [hiredis.pack_command((*words, *rest))]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Sends as redis-py does, but without `asyncio.wait_for`: it makes a task of each command, and in Python 3.11
        it loses a cancellation that comes as the task ends, so that Ctrl-C or a hand-over would do nothing."""
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]
        chunks = [command] if isinstance(command, bytes) else command
        try:
            async with asyncio.timeout(self.socket_timeout):
                await self._send_packed_command(chunks)
        except (OSError, RuntimeError) as error:  # the latter is uvloop's, for a transport that a reset has closed
            await self.disconnect(nowait=True)
            if isinstance(error, asyncio.TimeoutError):
                raise TimeoutError("Timeout writing to socket") from None
            raise ConnectionError(f"Error while writing to socket: {error}") from error
        except BaseException:
            await self.disconnect(nowait=True)  # half a command may be out: this connection is of no more use
            raise


class _TlsConnection(_Connection, redis.SSLConnection):
    """The same over TLS."""


class _Redis(redis.Redis):
    """A pool; scripts run through one connection that all callers share."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pipe = Pipe(self.connection_pool.make_connection, _SOCKET_TIMEOUT_S)

    def register_script(self, script: Any) -> Any:
        return Script(self._pipe, script)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await self._pipe.close()
        await super().aclose(close_connection_pool)


class _Cluster(RedisCluster):
    """A cluster's client whose own errors (no node answers, a slot has no owner) are trouble that passes."""

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().execute_command(*args, **kwargs)
        except (RedisClusterException, ClusterError, AttributeError) as error:
            # AttributeError: redis-py, reading the map of slots anew, closes connections that are being opened.
            raise ConnectionError(f"{type(error).__name__}: {error}") from error


def _connect(url: str) -> Any:
    """Returns a pool, or for `redis+cluster://[user:password@]host:port,host:port` a client of that cluster."""
    scheme, _, rest = url.partition("://")
    if scheme != CLUSTER_SCHEME:
        client = _Redis.from_url(
            url,
            socket_timeout=_SOCKET_TIMEOUT_S,
            socket_connect_timeout=2.0,
            health_check_interval=30,
            connection_class=_Connection,
        )
        if scheme == "rediss":  # the URL's own class goes before the one that is named
            client.connection_pool.connection_class = _TlsConnection
        return client
    login, _, hosts = rest.rpartition("@")
    username, _, password = login.partition(":")
    pairs = [host.rpartition(":") for host in hosts.split("/")[0].split(",")]
    return _Cluster(
        startup_nodes=[ClusterNode(host, int(port)) for host, _, port in pairs],
        username=username or None,
        password=password or None,
        socket_timeout=_SOCKET_TIMEOUT_S,
        socket_connect_timeout=2.0,
        require_full_coverage=False,  # partitions whose node is up go on while another's fails over
    )


class RedisClient(Service):
    """One connection pool. With `durable`, start refuses a Redis that would evict keys or keep no log.

    A `url` of scheme `redis+cluster` names some nodes of a Redis Cluster; every stage's keys of one partition share
    a hash tag, so that all that is written together lies on one node.
    """

    def __init__(self, url: str, *, durable: bool = False) -> None:
        super().__init__()
        self.client: redis.Redis = _connect(url)  # the cluster's client has the same commands
        self._url = url
        self._durable = durable

    async def on_start(self) -> None:
        if self._durable:
            await self._assert_configuration()

    async def _assert_configuration(self) -> None:
        policies = await self._configured("maxmemory-policy")
        if policies != {"noeviction"}:
            raise Fatal(
                f"Redis has maxmemory-policy {', '.join(sorted(policies))}, which may silently drop profiles; "
                "set it to 'noeviction'"
            )
        if await self._configured("appendonly") != {"yes"}:
            raise Fatal("Redis has appendonly off: state would not survive its restart; set appendonly to 'yes'")

    async def _configured(self, name: str) -> set[str]:
        """The values that the server, or each master of the cluster, has for one name (Redis 6 takes one a call)."""
        every: dict[str, Any] = {"target_nodes": "primaries"} if isinstance(self.client, RedisCluster) else {}
        try:
            found: Any = await self.client.config_get(name, **every)
        except RedisError as error:
            raise Fatal(f"Redis does not answer at start: {error}", ExitCode.RETRY) from error
        return {str(one.get(name)) for one in (found.values() if every else (found,))}

    async def ping(self) -> None:
        """Raises when Redis does not answer."""
        await self.client.ping()

    async def on_stop(self) -> None:
        await self.client.aclose()
