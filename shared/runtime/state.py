"""States of one partition: framed with the offset up to which they are true, held decoded in a bounded cache."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

S = TypeVar("S")

_OFFSET_BYTES = 8


def frame(offset: int, encoded: bytes) -> bytes:
    """Prefixes an encoded state with its offset (8 bytes, big-endian, signed)."""
    return offset.to_bytes(_OFFSET_BYTES, "big", signed=True) + encoded


def unframe(raw: bytes) -> tuple[int, bytes]:
    """Splits a framed state into its offset and the codec's bytes."""
    return int.from_bytes(raw[:_OFFSET_BYTES], "big", signed=True), raw[_OFFSET_BYTES:]


_UNKNOWN = -1


@dataclass(slots=True)
class Held(Generic[S]):
    """A decoded state. `state` None: the key is known to have none. `size`: bytes of its frame, which stand for the
    memory it takes. `pins` counts batches not yet settled. `deadline`: what Redis holds or will once those have."""

    state: S | None
    offset: int
    size: int = 0
    pins: int = 0
    deadline: int | None = _UNKNOWN


@dataclass(slots=True)
class StateCache(Generic[S]):
    """Decoded states, least recently used first. States of unsettled batches are pinned: Redis lacks them still."""

    capacity: int
    bytes_max: int = 1 << 62
    bytes: int = 0
    _held: OrderedDict[str, Held[S]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._held)

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Returns the keys that have to be loaded, each once, in order of first mention."""
        return [key for key in dict.fromkeys(keys) if key not in self._held]

    def put(self, key: str, held: Held[S]) -> None:
        self._held[key] = held
        self.bytes += held.size

    def weigh(self, held: Held[S], size: int) -> None:
        """Notes a state's new size."""
        self.bytes += size - held.size
        held.size = size

    def changed_deadlines(self, deadlines: Mapping[str, Any]) -> dict[str, int | None]:
        """Returns those that differ from what Redis holds; most events leave their profile's deadline where it was."""
        changed: dict[str, int | None] = {}
        for key, at in deadlines.items():
            held = self._held.get(key)
            if held is None:
                changed[key] = at
            elif held.deadline != at:
                held.deadline = changed[key] = at
        return changed

    def get(self, key: str) -> Held[S]:
        self._held.move_to_end(key)
        return self._held[key]

    def peek(self, key: str) -> Held[S]:
        """Returns what is held of a key, beginning to hold it if nothing is."""
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = Held(None, -1)
        return held

    def pin(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._held[key].pins += 1

    def unpin(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._held[key].pins -= 1

    def forget(self, keys: Iterable[str]) -> None:
        """Drops states that a failed step may have half-changed. Only legal while nothing is unsettled."""
        for key in keys:
            held = self._held.pop(key, None)
            if held is not None:
                self.bytes -= held.size

    def trim(self) -> int:
        """Drops the least recently used states beyond the bounds; pinned ones stay. Returns how many went."""
        if len(self._held) <= self.capacity and self.bytes <= self.bytes_max:
            return 0
        rows, size, idle = len(self._held), self.bytes, list[str]()
        for key, held in self._held.items():
            if rows <= self.capacity and size <= self.bytes_max:
                break
            if held.pins == 0:
                idle.append(key)
                rows, size = rows - 1, size - held.size
        self.forget(idle)
        return len(idle)
