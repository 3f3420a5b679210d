"""A partition under the in-memory driver whose definitions change while facts come in, and the same known from the
start."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.segmentation import stream
from services.segmentation.domain.bounds import Bounds
from services.segmentation.domain.generations import Generation, decode_generation, generation_of, split_generations
from services.segmentation.domain.passage import Passage
from services.segmentation.domain.replay import Replay
from services.segmentation.domain.state import State
from services.segmentation.domain.status import LEFT, RUNNING, STATUS, TARGET, Status
from services.segmentation.domain.way import Way
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.memberships import ProfileMemberships, Transition
from shared.contracts.topics import EVENTS, FEATURE_VECTORS, SEGMENT_MEMBERSHIPS
from shared.contracts.vectors import FeatureDefinition, FeatureSetDefinition
from shared.kernel.clock import Micros
from shared.runtime.driver import TopologyDriver
from shared.runtime.stage import Turn


def generation(segments: dict[str, tuple[int, str]], features: dict[str, str] | None = None) -> Generation:
    """Definitions by id, each with version and expression; features are one set, versioned by what it holds."""
    defined = [SegmentDefinition(id_, id_, text, version) for id_, (version, text) in segments.items()]
    named = tuple(FeatureDefinition(name, text) for name, text in (features or {}).items())
    return generation_of(defined, [FeatureSetDefinition("f", 1, named)] if named else [])


@dataclass
class Partition:
    """Implements `Passages` for partition 0. `allowance`: keys that may still be seeded; `reads`: rows read ahead."""

    profiles_max: int = 1_000
    turn_keys: int = 2
    allowance: int = 0
    passage: Passage = field(init=False)
    driver: TopologyDriver = field(init=False)

    def __post_init__(self) -> None:
        self.stage = stream.backfilled_stage(self)
        self.driver = TopologyDriver(self.stage, batch_rows_max=5)
        self.passage = Passage(Way(generation({})), self._bounds(), None)
        self.driver.settle()

    def _bounds(self) -> Bounds:
        return Bounds(self.profiles_max, self.turn_keys, self._take, lambda: 0)

    def _take(self, count: int) -> bool:
        granted = self.allowance >= count
        self.allowance -= count if granted else 0
        return granted

    def of(self, partition: int) -> Passage:
        return self.passage

    async def claimed(self, partition: int, position: int) -> None:
        raise NotImplementedError("the driver does not claim")

    def released(self, partition: int) -> None:
        raise NotImplementedError("the driver does not release")

    def is_busy(self, partition: int) -> bool:
        return partition == 0 and self.passage.wants_turn

    def next_turn(self, partition: int, position: int, now: Micros) -> Turn | None:
        return self.passage.next_turn(position, now)

    # What happens to the partition.

    def send(self, fact: Fact) -> None:
        self.driver.send(EVENTS, fact.profile_id or None, fact, partition=0)
        self.driver.settle()

    def define(self, wanted: Generation) -> None:
        self.passage.locate(0, len(self.log))
        self.passage.want(wanted)
        self.driver.settle()

    def read(self, rows: int) -> None:
        """The reader of the log gets on by some rows, or the list of profiles is read."""
        replay = self.passage.replay
        if self.passage.needs_rows and replay is not None:
            replay.begin(0)
            fresh = self.log[replay.read_to : replay.read_to + rows]
            start = replay.read_to
            wanted = [(start + i, fact) for i, fact in enumerate(fresh) if replay.wants(fact.profile_id)]
            replay.add(wanted, start + len(fresh))
        if self.passage.needs_keys:
            self.passage.find(sorted(self.states()))
            self.passage.swept = True
        self.driver.settle()

    def allow(self, keys: int) -> None:
        self.allowance += keys
        self.driver.settle()

    def crash(self) -> None:
        """The process is killed between two turns; another begins with what is durable."""
        status = self.driver.view(self.stage, 0, STATUS)
        running, target, left = (self.driver.view(self.stage, 0, name) for name in (RUNNING, TARGET, LEFT))
        assert status is not None
        assert running is not None
        held = decode_generation(running)
        new = decode_generation(target, held.definitions) if target else None
        others = tuple(decode_generation(encoded) for encoded in split_generations(left or b"[]"))
        self.passage = Passage(Way(held, new, others), self._bounds(), msgspec.json.decode(status, type=Status))
        self.passage.locate(0, len(self.log))
        self.driver.settle()

    def finish(self, wanted: Generation) -> None:
        """Lets the passage to `wanted` end, whatever is under way."""
        self.define(wanted)
        self.allowance = 1 << 40
        for _ in range(1_000):
            if not self.passage.busy:
                break
            self.define(wanted)
            self.read(1_000)
        self.allowance = 0
        assert not self.passage.busy

    # What can be seen.

    @property
    def log(self) -> list[Fact]:
        return [written.value for written in self.driver.read(EVENTS) if written.partition == 0]

    def states(self) -> dict[str, State]:
        ids = {fact.profile_id for fact in self.log if fact.profile_id}
        return {id_: self._state(id_) for id_ in ids}

    def _state(self, id_: str) -> Any:
        kept = self.driver._kept[self.stage.name, 0].states
        return self.stage.state.decode(kept[id_]) if self.stage.state else None

    def memberships(self) -> list[ProfileMemberships]:
        return [written.value for written in self.driver.read(SEGMENT_MEMBERSHIPS)]

    def transitions(self, profile: str) -> list[Transition]:
        return [t for value in self.memberships() if value.profile_id == profile for t in value.transitions]

    def published(self) -> dict[str, set[str]]:
        """The newest published map of each profile."""
        return {value.profile_id: set(value.memberships) for value in self.memberships()}

    def vectors(self) -> dict[str, tuple[float, ...]]:
        return {written.value.profile_id: written.value.values for written in self.driver.read(FEATURE_VECTORS)}


def known_from_the_start(log: list[Fact], wanted: Generation) -> "Known":
    """The same facts, had the definitions been there before the first."""
    fixed = stream.stage(lambda: wanted.definitions)
    driver = TopologyDriver(fixed)
    for fact in log:
        driver.send(EVENTS, fact.profile_id or None, fact, partition=0)
    driver.settle()
    assert fixed.state is not None
    kept = driver._kept[fixed.name, 0].states
    return Known(wanted, {id_: fixed.state.decode(raw) for id_, raw in kept.items()})


@dataclass
class Known:
    """What is known of all profiles under some definitions."""

    generation: Generation
    states: dict[str, State]

    def members(self) -> dict[str, set[str]]:
        return {id_: set(state.engine.members) for id_, state in self.states.items()}

    def features(self, now: int) -> dict[str, dict[str, float | None]]:
        plan = self.generation.definitions.plan
        return {
            id_: pql.read_features(plan, state.engine, pql.Profile(id_, state.attributes), now)
            for id_, state in self.states.items()
        }


__all__ = ["Known", "Partition", "Replay", "generation", "known_from_the_start"]
