"""What passages have noted in Redis, and the list of a partition's profiles."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from services.segmentation.domain.generations import generation_id, versions_in
from services.segmentation.domain.readiness import Readiness, Taken
from services.segmentation.domain.status import LEFT, RUNNING, STATUS, TARGET, Status
from services.segmentation.ports import Noted
from shared.adapters.redis import RedisClient, RedisError
from shared.contracts import redis_keys
from shared.contracts.topics import KEYED_PARTITIONS
from shared.kernel.clock import Clock
from shared.kernel.errors import Retryable
from shared.runtime.admin.scan import keys_of_partition
from shared.runtime.namespace import ActiveNamespaces, active_namespace

_STAGE = "segmentation"
_VERSIONS_KEPT_MAX = 32
_status = msgspec.json.Decoder(Status)


class RedisNotes:
    """Implements `Notes` and `Ready`. Versions of a generation never change, so they are read once."""

    def __init__(self, redis: RedisClient, namespace: str, clock: Clock) -> None:
        self._redis = redis
        self._root = namespace
        self._namespaces = ActiveNamespaces(redis.client, namespace, _STAGE)
        self._clock = clock
        self._versions: dict[str, dict[str, int]] = {}

    async def noted(self, partition: int) -> Noted | None:
        # Right after a claim: not what was true a second ago.
        namespace = await self._namespace(partition)
        names = (STATUS, RUNNING, TARGET, LEFT)
        status, running, target, left = [await self._get(partition, name, namespace) for name in names]
        if status is None or running is None:
            return None
        return Noted(_status.decode(status), running, target, left)

    async def statuses(self) -> Sequence[Status | None]:
        raw = [await self._get(partition, STATUS) for partition in range(KEYED_PARTITIONS)]
        return [None if found is None else _status.decode(found) for found in raw]

    async def profiles(self, partition: int) -> AsyncGenerator[Sequence[str], None]:
        """Walks through all keys of Redis: a partition has no list of its profiles, which would cost each of them
        some hundred bytes for the sake of a rare question."""
        where = (await self._namespace(partition), _STAGE, partition)
        prefix = redis_keys.state(*where, "")
        try:
            async with aclosing(keys_of_partition(self._redis.client, redis_keys.fence(*where), prefix)) as slices:
                async for keys in slices:
                    yield [str(key, "utf-8")[len(prefix) :] for key in keys]
        except (RedisError, OSError) as error:
            raise Retryable(f"the profiles of partition {partition} cannot be listed: {error}") from error

    async def readiness(self) -> Readiness:
        try:
            taken = [await self._taken(p, status) for p, status in enumerate(await self.statuses())]
        except Retryable:
            taken = []
        return Readiness(taken, self._clock.now())

    async def _taken(self, partition: int, status: Status | None) -> Taken | None:
        if status is None:
            return None
        running = await self._versions_of(partition, status.running, RUNNING)
        target = await self._versions_of(partition, status.target, TARGET) if status.target else {}
        return Taken(status, running, target)

    async def _versions_of(self, partition: int, generation: str, name: str) -> dict[str, int]:
        known = self._versions.get(generation)
        if known is not None:
            return known
        raw = await self._get(partition, name)
        if raw is None:
            return {}
        # Between two reads the partition may have gone on: what was found says itself which generation it is.
        known = self._versions[generation_id(raw)] = versions_in(raw)
        while len(self._versions) > _VERSIONS_KEPT_MAX:
            del self._versions[next(iter(self._versions))]
        return known

    async def _namespace(self, partition: int) -> str:
        try:
            return await active_namespace(self._redis.client, self._root, _STAGE, partition)
        except (RedisError, OSError) as error:
            raise _unreadable(partition, error) from error

    async def _get(self, partition: int, name: str, namespace: str | None = None) -> bytes | None:
        try:
            namespace = namespace or await self._namespaces.of(partition)
            found = await self._redis.client.get(redis_keys.view(namespace, _STAGE, partition, name))
        except (RedisError, OSError) as error:
            raise _unreadable(partition, error) from error
        assert found is None or isinstance(found, bytes)  # the client does not decode answers
        return found


def _unreadable(partition: int, error: Exception) -> Retryable:
    return Retryable(f"the notes of partition {partition} cannot be read from Redis: {error}")
