"""Profiles out of Redis, as the stage wrote them."""

from services.profile_store.adapters.reading import read
from services.profile_store.domain.state import STAGE, ProfileState, StateCodec
from shared.adapters.redis import RedisClient
from shared.contracts import redis_keys
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import KEYED_PARTITIONS
from shared.runtime.namespace import ActiveNamespaces
from shared.runtime.state import unframe


class RedisProfiles:
    """Implements `Profiles` by one GET, and once a second another that asks which namespace is in charge."""

    def __init__(self, redis: RedisClient, namespace: str) -> None:
        self._redis = redis
        self._namespaces = ActiveNamespaces(redis.client, namespace, STAGE)
        self._codec = StateCodec()

    async def get(self, profile_id: str) -> ProfileState | None:
        partition = partition_of(profile_id, KEYED_PARTITIONS)
        namespace = await read(self._namespaces.of(partition), "the profile")
        key = redis_keys.state(namespace, STAGE, partition, profile_id)
        raw = await read(self._redis.client.get(key), "the profile")
        if raw is None:
            return None
        assert isinstance(raw, bytes)  # the client does not decode answers
        return self._codec.decode(unframe(raw)[1])
