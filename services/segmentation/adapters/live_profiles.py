"""Profiles out of Redis, as the stage wrote them."""

from services.segmentation.domain.state import State, StateCodec
from shared.adapters.redis import RedisClient, RedisError
from shared.contracts import redis_keys
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import KEYED_PARTITIONS
from shared.kernel.errors import Retryable
from shared.runtime.namespace import ActiveNamespaces
from shared.runtime.state import unframe

_STAGE = "segmentation"


class RedisLiveProfiles:
    """Implements `LiveProfiles` by one GET; what it returns is decoded anew each time and belongs to the caller."""

    def __init__(self, redis: RedisClient, namespace: str) -> None:
        self._redis = redis
        self._namespaces = ActiveNamespaces(redis.client, namespace, _STAGE)
        self._codec = StateCodec()

    async def get(self, profile_id: str) -> State | None:
        partition = partition_of(profile_id, KEYED_PARTITIONS)
        try:
            key = redis_keys.state(await self._namespaces.of(partition), _STAGE, partition, profile_id)
            raw = await self._redis.client.get(key)
        except (RedisError, OSError) as error:
            raise Retryable(f"the profile's state cannot be read from Redis: {error}") from error
        if raw is None:
            return None
        assert isinstance(raw, bytes)  # the client does not decode answers
        return self._codec.decode(unframe(raw)[1])
