"""The states of many profiles in memory: those touched lately as objects, the others packed."""

from collections import OrderedDict
from collections.abc import Iterator

from services.segmentation.domain.state import State, StateCodec

_UNPACKED_MAX = 20_000
"""States held as objects, some KiB each; a packed one takes a few hundred bytes."""


class ProfileStates:
    """States by profile id. Memory follows the number of profiles, not of facts."""

    def __init__(self, unpacked_max: int = _UNPACKED_MAX) -> None:
        self._unpacked_max = unpacked_max
        self._codec = StateCodec()
        # Not a dict: looking for the first key of one that is emptied from the front takes time in proportion.
        self._unpacked: OrderedDict[str, State] = OrderedDict()
        self._packed: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._unpacked) + len(self._packed)

    def __iter__(self) -> Iterator[str]:
        """Yields profile ids; take no state out before it has ended."""
        yield from self._unpacked
        yield from self._packed

    def take(self, profile_id: str) -> State | None:
        """Takes a state out, None if there is none; put it back with `put`."""
        state = self._unpacked.pop(profile_id, None)
        if state is None and (packed := self._packed.pop(profile_id, None)) is not None:
            return self._codec.decode(packed)
        return state

    def put(self, profile_id: str, state: State) -> None:
        """Puts a state back; the one untouched for longest is packed when there are too many."""
        self._unpacked[profile_id] = state
        if len(self._unpacked) > self._unpacked_max:
            oldest, idle = self._unpacked.popitem(last=False)
            self._packed[oldest] = self._codec.encode(idle)
