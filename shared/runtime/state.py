"""States of one partition: framed with the offset up to which they are true, held decoded in a bounded cache."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S")

_OFFSET_BYTES = 8


def frame(offset: int, encoded: bytes) -> bytes:
    """Prefixes an encoded state with its offset (8 bytes, big-endian, signed)."""
    return offset.to_bytes(_OFFSET_BYTES, "big", signed=True) + encoded


def unframe(raw: bytes) -> tuple[int, bytes]:
    """Splits a framed state into its offset and the codec's bytes."""
    return int.from_bytes(raw[:_OFFSET_BYTES], "big", signed=True), raw[_OFFSET_BYTES:]


@dataclass(slots=True)
class Held(Generic[S]):
    """A decoded state. `state` None: the key is known to have none. `pins` counts batches not yet settled."""

    state: S | None
    offset: int
    pins: int = 0


@dataclass(slots=True)
class StateCache(Generic[S]):
    """Decoded states, least recently used first. States of unsettled batches are pinned: Redis lacks them still."""

    capacity: int
    _held: OrderedDict[str, Held[S]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._held)

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Returns the keys that have to be loaded, each once, in order of first mention."""
        return [key for key in dict.fromkeys(keys) if key not in self._held]

    def put(self, key: str, held: Held[S]) -> None:
        self._held[key] = held

    def get(self, key: str) -> Held[S]:
        self._held.move_to_end(key)
        return self._held[key]

    def pin(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._held[key].pins += 1

    def unpin(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._held[key].pins -= 1

    def forget(self, keys: Iterable[str]) -> None:
        """Drops states that a failed step may have half-changed. Only legal while nothing is unsettled."""
        for key in keys:
            self._held.pop(key, None)

    def trim(self) -> None:
        """Drops the least recently used states beyond the capacity; pinned ones stay."""
        excess = len(self._held) - self.capacity
        if excess <= 0:
            return
        idle = (key for key, held in self._held.items() if held.pins == 0)
        for key in [key for key, _ in zip(idle, range(excess), strict=False)]:
            del self._held[key]
