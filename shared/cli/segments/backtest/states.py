"""The states of all profiles: those seen lately as objects, the others packed, so that memory follows profiles."""

from collections.abc import Iterator
from typing import NamedTuple

from shared.pql import ProfileState, decode_state, encode_state, new_state

HOT_MAX = 50_000
"""Profiles held as objects, some KiB each; a packed one takes a few hundred bytes."""


class _Packed(NamedTuple):
    raw: bytes
    deadline: int
    members: tuple[str, ...]


class States:
    """Profile states by id."""

    def __init__(self, hot_max: int = HOT_MAX) -> None:
        self._hot_max = hot_max
        self._hot: dict[str, ProfileState] = {}
        self._packed: dict[str, _Packed] = {}

    def __len__(self) -> int:
        return len(self._hot) + len(self._packed)

    def take(self, id_: str) -> ProfileState:
        """Take a profile's state out, a new one if it was never seen; put it back with `put`."""
        state = self._hot.pop(id_, None)
        if state is None:
            packed = self._packed.pop(id_, None)
            state = new_state() if packed is None else decode_state(packed.raw)
        return state

    def put(self, id_: str, state: ProfileState) -> None:
        """Put a state back; the one untouched for longest is packed when there are too many."""
        self._hot[id_] = state
        if len(self._hot) > self._hot_max:
            oldest = next(iter(self._hot))
            self._pack(oldest, self._hot.pop(oldest))

    def _pack(self, id_: str, state: ProfileState) -> None:
        self._packed[id_] = _Packed(encode_state(state), state.next_deadline, tuple(state.members))

    def due(self, now: int) -> list[str]:
        """Profiles whose deadline is at `now` (µs) or earlier."""
        hot = [id_ for id_, state in self._hot.items() if state.horizons and state.next_deadline <= now]
        return hot + [id_ for id_, packed in self._packed.items() if packed.deadline <= now]

    def members(self) -> Iterator[tuple[str, str]]:
        """Every membership as (segment, profile)."""
        for id_, state in self._hot.items():
            for segment in state.members:
                yield segment, id_
        for id_, packed in self._packed.items():
            for segment in packed.members:
                yield segment, id_
