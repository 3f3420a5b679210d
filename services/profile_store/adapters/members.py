"""Members of segments out of Redis: one set for each segment and partition.

A listing scans partition after partition. SSCAN takes limits as hints, so a page may have to end in the middle of
what one call returned; then the cursor repeats that call and goes on behind the last id told, in order of ids.
"""

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, cast

from services.profile_store.adapters.reading import read
from services.profile_store.domain.state import STAGE
from services.profile_store.ports import MemberPage
from shared.adapters.redis import RedisClient
from shared.contracts import redis_keys
from shared.contracts.topics import KEYED_PARTITIONS
from shared.kernel.errors import Rejected
from shared.runtime.namespace import ActiveNamespaces

_CURSOR = re.compile(r"([0-9]{1,4})-([0-9]{1,20})-(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a listing stands: partition, SSCAN's cursor in it, and the last id told of that call."""

    partition: int
    scan: int = 0
    told: str = ""

    @property
    def cursor(self) -> str:
        return f"{self.partition}-{self.scan}-{self.told}"


class RedisMembers:
    """Implements `Members`."""

    def __init__(self, redis: RedisClient, namespace: str) -> None:
        self._redis = redis
        self._namespaces = ActiveNamespaces(redis.client, namespace, STAGE)

    async def count(self, segment_id: str) -> int:
        pipeline = self._redis.client.pipeline(transaction=False)
        for partition in range(KEYED_PARTITIONS):
            pipeline.scard(await self._key(segment_id, partition))
        counts: list[int] = await read(pipeline.execute(), "the segment's size")
        return sum(counts)

    async def page(self, segment_id: str, cursor: str | None, limit: int) -> MemberPage:
        place: _Place | None = _Place(0) if cursor is None else _place(cursor)
        found: dict[str, None] = {}
        while place is not None and len(found) < limit:
            place = await self._scan(segment_id, place, limit, found)
        return MemberPage(tuple(found), None if place is None else place.cursor)

    async def _scan(self, segment_id: str, place: _Place, limit: int, found: dict[str, None]) -> _Place | None:
        """Adds the ids of one SSCAN call to `found` until it is full; returns where to go on."""
        # SSCAN's own type has the answer of the synchronous client.
        key = await self._key(segment_id, place.partition)
        call = self._redis.client.sscan(key, place.scan, count=limit)
        following, raw = await read(cast(Awaitable[tuple[int, list[bytes]]], cast(Any, call)), "the segment's members")
        waiting = sorted({member.decode() for member in raw})
        for profile_id in waiting:
            if profile_id <= place.told:
                continue
            if len(found) >= limit:
                return _Place(place.partition, place.scan, next(reversed(found)))
            found[profile_id] = None
        if following:
            return _Place(place.partition, following)
        return _Place(place.partition + 1) if place.partition + 1 < KEYED_PARTITIONS else None

    async def _key(self, segment_id: str, partition: int) -> str:
        namespace = await read(self._namespaces.of(partition), "the segment's members")
        return redis_keys.view(namespace, STAGE, partition, redis_keys.members_name(segment_id))


def _place(cursor: str) -> _Place:
    match = _CURSOR.fullmatch(cursor)
    if match is None or int(match[1]) >= KEYED_PARTITIONS or int(match[2]) >= 1 << 64:
        raise Rejected(f"{cursor!r} is not a cursor of this listing; pass `page.next` of the page before, or none")
    return _Place(int(match[1]), int(match[2]), match[3])
