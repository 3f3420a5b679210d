"""Which namespace is in charge of a partition: `freshet state switch` leaves a pointer in the old one's fence."""

import time
from typing import Any

from shared.contracts import redis_keys

_HOPS_MAX = 16
_TRUSTED_S = 1.0


async def active_namespace(client: Any, root: str, stage: str, partition: int) -> str:
    """Follows the pointers from `root` to the namespace whose fence workers claim."""
    namespace = root
    for _ in range(_HOPS_MAX):
        moved = await client.hget(redis_keys.fence(namespace, stage, partition), "moved")
        if not moved:
            return namespace
        namespace = moved.decode()
    raise ValueError(f"the namespaces of {stage} partition {partition} point at each other from {root!r}")


class ActiveNamespaces:
    """The same for readers: remembers each answer for a second, in which the old namespace still answers well."""

    def __init__(self, client: Any, root: str, stage: str) -> None:
        self._client = client
        self._root = root
        self._stage = stage
        self._known: dict[int, tuple[str, float]] = {}

    async def of(self, partition: int) -> str:
        """Returns the namespace to read `partition` from. Raises what the client raises."""
        known = self._known.get(partition)
        now = time.monotonic()
        if known is not None and known[1] > now:
            return known[0]
        namespace = await active_namespace(self._client, self._root, self._stage, partition)
        self._known[partition] = (namespace, now + _TRUSTED_S)
        return namespace
