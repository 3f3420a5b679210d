"""The generations of definitions that a partition's profiles live under while it is on its way to new ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.generations import Generation, encode_generations, is_given_up, lacking_history
from services.segmentation.domain.state import State
from services.segmentation.domain.status import LEFT, RUNNING, TARGET
from shared.runtime.stage import ViewWrite

LEFT_MAX = 3
"""Generations that profiles may live under beside the running one; then a passage is finished before the next."""


@dataclass(frozen=True, slots=True)
class Way:
    """`running`: where all profiles were when they last stood still. `target`: where they go, None while they stand.
    `left`: targets that were given up on the way, which some profiles live under."""

    running: Generation
    target: Generation | None = None
    left: tuple[Generation, ...] = ()

    @property
    def end(self) -> Generation:
        """Where it leads; new profiles begin there, because they have no history to lack."""
        return self.target or self.running

    @property
    def origins(self) -> Sequence[Generation]:
        """The generations that profiles come over from."""
        key = None if self.target is None else self.target.definitions.plan.key
        return [g for g in (self.running, *self.left) if g.definitions.plan.key != key]

    def definitions_of(self, state: State) -> Definitions:
        """The definitions that a profile lives under."""
        if self.target is not None:
            for generation in (self.target, *self.left):
                if state.engine.plan == generation.definitions.plan.key:
                    return generation.definitions
        return self.running.definitions

    def has_come(self, state: State) -> bool:
        """Whether a profile lives under the target."""
        return self.target is not None and state.engine.plan == self.target.definitions.plan.key

    def takes_over(self, state: State) -> bool:
        """Whether a profile comes over with this touch. Takes away a seed for what is no longer the target."""
        if state.seed is None or self.target is None:
            return False
        if state.seed.generation != self.target.id:
            state.seed = None
        return state.seed is not None

    def keeps(self, name: str, new: Generation) -> bool:
        """Whether a definition is the same before and after."""
        return self.running.definitions.version_of(name) == new.definitions.version_of(name) != 0

    def turns_for(self, wanted: Generation) -> bool:
        """Whether the target is given up for `wanted`: nothing that it changes is wanted any more as it is there."""
        if self.target is None or len(self.left) >= LEFT_MAX:
            return False
        return is_given_up(self.running, self.target, wanted)

    def towards(self, wanted: Generation) -> "Way":
        """Returns the way to `wanted` from wherever profiles are."""
        held = self.left if self.target is None else (*self.left, self.target)
        left = tuple(g for g in held if g.definitions.plan.key != wanted.definitions.plan.key)
        return Way(self.running, wanted, left)

    def arrived(self, at: Generation) -> "Way":
        return replace(self, running=at, target=None, left=())

    def views(self) -> list[ViewWrite]:
        """What is noted of it, to be found by whoever takes the partition over."""
        if self.target is None:
            standing = ViewWrite("set", RUNNING, self.running.encoded)
            return [standing, ViewWrite("delete", TARGET), ViewWrite("delete", LEFT)]
        left = encode_generations(self.left)
        return [ViewWrite("set", TARGET, self.target.encoded), ViewWrite("set", LEFT, left)]

    def lacking(self, new: Generation) -> tuple[str, ...]:
        """Names what of `new` reads histories that some profiles do not keep."""
        return lacking_history(self.origins, new)
