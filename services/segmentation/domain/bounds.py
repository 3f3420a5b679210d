"""How much of a passage is done at once."""

from collections.abc import Callable
from dataclasses import dataclass

_FIRST = 16
_LEAST = 8
"""However long it takes: where Redis is slow, small slices would wait for it as long as big ones."""
_HELD_US_MAX = 8_000
"""A partition's facts wait while profiles are seeded; beyond this long the next slice is half as big."""
_HELD_US_LOW = 4_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """`profiles_max`: held in one slice; `turn_keys`: seeded at once, at most. `take(n)`: whether n rows of the rate
    limit may be used now; `now`: the wall clock, µs."""

    profiles_max: int
    turn_keys: int
    take: Callable[[int], bool]
    now: Callable[[], int]


class TurnSize:
    """How many profiles are seeded at once: as many as take some milliseconds to step and to be made durable, however
    big their states are and however busy Redis is."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self.keys = min(_FIRST, keys_max)

    def took(self, keys: int, held_us: int) -> None:
        """Hears how long a slice has kept its partition."""
        if held_us > _HELD_US_MAX:
            self.keys = min(self._keys_max, max(_LEAST, keys // 2))
        elif held_us < _HELD_US_LOW and keys >= self.keys:
            self.keys = min(self._keys_max, keys + max(1, keys // 4))
