"""Training examples from a replayed log: vectors at sampled moments, labelled by what the profile did afterwards.

Which moments are taken depends on a hash of profile and fact alone, so that a run repeats bit by bit and does not
depend on batching. Each profile gives at most `per_profile` examples: those with the smallest hashes among the
moments at which its vector changed, which is a uniform sample without knowing their number in advance.

A moment is censored, and left out, when its horizon is not over at the log's end: nobody knows its label yet. This
also holds for those that have converted already. Keeping these alone would make the newest part of the log, which
validates the model, all positive.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from shared.contracts.facts import Fact
from shared.features.replay import FeatureReplay, Moment
from shared.kernel.clock import DAY, format_instant


@dataclass(frozen=True, slots=True)
class ExampleRule:
    """What makes an example positive: an event of type `label` of the same profile that occurs in (t, t + horizon].

    `horizon` is in µs. `per_profile` bounds the moments taken of one profile. `seed` draws another sample.
    """

    label: str
    horizon: int
    per_profile: int
    seed: int = 0


@dataclass(slots=True)
class Example:
    """One row: the vector served at log time `at` (µs) and whether the conversion followed."""

    profile_id: str
    at: int
    rank: int
    values: tuple[float, ...]
    label: bool = False


@dataclass(slots=True)
class LogSpan:
    """What a log, or a part of it, covers: number of facts, oldest and newest log time (µs)."""

    facts: int = 0
    first_at: int = 0
    last_at: int = 0

    def add(self, received_at: int) -> None:
        self.first_at = min(self.first_at, received_at) if self.facts else received_at
        self.last_at = max(self.last_at, received_at)
        self.facts += 1

    def join(self, other: "LogSpan") -> None:
        """Covers what `other` covers, too."""
        if other.facts:
            self.first_at = min(self.first_at, other.first_at) if self.facts else other.first_at
            self.last_at = max(self.last_at, other.last_at)
            self.facts += other.facts

    def explain(self, rule: ExampleRule) -> str:
        """Says how long the log is against the horizon that labels need."""
        if not self.facts:
            return "the log is empty"
        days, wanted = (self.last_at - self.first_at) / DAY, rule.horizon / DAY
        return (
            f"the log has {self.facts} facts from {format_instant(self.first_at)} to {format_instant(self.last_at)} "
            f"({days:.2f} days); a label needs {wanted:.2f} days after its moment"
        )


class ExampleBuilder:
    """Collects the examples of the profiles in one replay, which it feeds."""

    def __init__(self, rule: ExampleRule, replay: FeatureReplay) -> None:
        self.span = LogSpan()
        self._rule = rule
        self._replay = replay
        self._taken: dict[str, list[Example]] = {}

    def add(self, fact: Fact) -> None:
        """Takes the next fact in arrival order."""
        self.span.add(fact.received_at)
        moment = self._replay.apply(fact)
        if moment is None:
            return
        taken = self._taken.get(fact.profile_id)
        if taken and fact.event_type == self._rule.label:
            self._label(taken, fact.occurred_at)
        # A score is not a moment of its own: it comes back for a vector that has been taken already.
        if moment.touched and fact.type != "score":
            self._sample(moment)

    def _label(self, taken: Iterable[Example], occurred_at: int) -> None:
        for example in taken:
            if example.at < occurred_at <= example.at + self._rule.horizon:
                example.label = True

    def _sample(self, moment: Moment) -> None:
        taken = self._taken.setdefault(moment.profile_id, [])
        rank = sample_rank(self._rule.seed, moment.profile_id, moment.fact.id)
        if len(taken) >= self._rule.per_profile:
            last = max(taken, key=lambda example: example.rank)
            if rank >= last.rank:
                return
            taken.remove(last)
        taken.append(Example(moment.profile_id, moment.at, rank, self._replay.values(moment)))

    def harvest(self) -> list[Example]:
        """Returns all examples taken so far, labelled by what has followed so far."""
        return [example for taken in self._taken.values() for example in taken]


def settled(examples: Iterable[Example], log_end: int, rule: ExampleRule) -> list[Example]:
    """Returns the examples whose label is certain when the whole log, all its partitions, ends at `log_end` (µs)."""
    return [example for example in examples if example.at + rule.horizon <= log_end]


def sample_rank(seed: int, profile_id: str, fact_id: str) -> int:
    """Returns a uniform 64-bit number that depends on nothing but its arguments; the smallest are sampled."""
    digest = blake2b(f"{seed}\x00{profile_id}\x00{fact_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
