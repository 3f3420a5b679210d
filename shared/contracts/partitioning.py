"""Kafka's default partitioner (murmur2), so that readers of Redis find a profile's partition without Kafka."""

from functools import lru_cache
from struct import unpack_from

_M = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Returns Kafka's 32-bit murmur2 hash (org.apache.kafka.common.utils.Utils.murmur2), unsigned."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for word in unpack_from(f"<{whole // 4}I", data):
        k = word * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    tail = length - whole
    if tail:
        h ^= int.from_bytes(data[whole:], "little")
        h = h * _M & _MASK
    h ^= h >> 13
    h = h * _M & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=262_144)
def partition_of(key: str, partitions: int) -> int:
    """Returns the partition that Kafka's default partitioner gives to `key`, of `partitions`.

    >>> partition_of("kafka", 8)
    4
    """
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
