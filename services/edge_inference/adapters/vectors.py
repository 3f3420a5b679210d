"""Packed feature vectors out of Redis, where the profile store keeps them for readers."""

import asyncio

from shared.adapters.redis import RedisClient, RedisError
from shared.contracts import redis_keys
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import KEYED_PARTITIONS
from shared.kernel.errors import Retryable
from shared.runtime.namespace import ActiveNamespaces

_OWNER = "profile_store"


class RedisVectors:
    """Implements the port `Vectors` by one GET, and once a second another that asks which namespace is in charge."""

    def __init__(self, redis: RedisClient, namespace: str, timeout_s: float) -> None:
        self._redis = redis
        self._namespaces = ActiveNamespaces(redis.client, namespace, _OWNER)
        self._timeout_s = timeout_s

    async def get(self, feature_set: str, profile_id: str) -> bytes | None:
        partition = partition_of(profile_id, KEYED_PARTITIONS)
        name = redis_keys.vector_name(feature_set, profile_id)
        try:
            async with asyncio.timeout(self._timeout_s):
                key = redis_keys.view(await self._namespaces.of(partition), _OWNER, partition, name)
                raw = await self._redis.client.get(key)
        except TimeoutError:
            raise Retryable(f"the profile's features were not read within {self._timeout_s * 1000:g} ms") from None
        except (RedisError, OSError) as error:
            raise Retryable(f"the profile's features cannot be read: {error}") from error
        return raw.encode() if isinstance(raw, str) else raw
