"""A preview's arithmetic: one segment over a sample of people, and what that says about all of them.

A sample is whole partitions. A profile's partition is a hash of its id, so k of n partitions hold each person with
probability k/n, independently of what they did: the number of members found is binomial, and the estimate unbiased.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

from services.segmentation.domain.applying import apply_fact
from services.segmentation.domain.profiles import ProfileStates
from services.segmentation.domain.state import State, new_state
from shared import pql
from shared.contracts.facts import Fact
from shared.kernel.errors import Reason, Rejected

_Z_95 = 1.959964
"""Half the width of a 95 % interval, in standard errors (normal approximation)."""
_MISSED_BY_CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many people there are: `size` ± `standard_error` people; with 95 % confidence from `low` to `high`."""

    size: int
    standard_error: float
    low: int
    high: int


def estimate(matched: int, partitions: int, partitions_all: int) -> Estimate:
    """Projects the members found in some of all partitions.

    With f = partitions / partitions_all: size = matched / f, standard error = sqrt(matched (1 - f)) / f. Where none
    was found, `high` is the largest number of members of whom a sample shows none once in twenty times.

    >>> estimate(100, 1, 8)
    Estimate(size=800, standard_error=74.83314773547883, low=653, high=947)
    >>> estimate(100, 8, 8)
    Estimate(size=100, standard_error=0.0, low=100, high=100)
    """
    share = partitions / partitions_all
    size = round(matched / share)
    error = math.sqrt(matched * (1 - share)) / share
    if matched == 0 and share < 1:
        return Estimate(0, 0.0, 0, math.floor(math.log(_MISSED_BY_CHANCE) / math.log(1 - share)))
    low = max(matched, math.floor(size - _Z_95 * error))
    return Estimate(size, error, low, math.ceil(size + _Z_95 * error))


def sample_plan(running: pql.Plan, segment_id: str, expression: pql.Expression) -> pql.Plan:
    """Plans one expression together with the running segments it refers to, to any depth, and nothing else.

    Raises Rejected (expression) for a reference to a segment that is not running.
    """
    spec = pql.SegmentSpec(segment_id, 1, expression)
    wanted = {segment_id: spec}
    open_ = list(pql.build_plan([spec], []).segments[0].references)
    while open_:
        name = open_.pop()
        id_ = running.segment_names.get(name, name)
        position = running.positions.get(id_)
        if position is None:
            raise Rejected(f"the expression refers to segment {name!r}, which is not running", Reason.EXPRESSION)
        if id_ not in wanted:
            segment = running.segments[position]
            wanted[id_] = segment.spec
            open_ += segment.references
    return pql.build_plan(list(wanted.values()), [], running)


@dataclass
class Sample:
    """Who of a sample is in a segment. Give it each sampled person's facts in the order of their log.

    `log_time`: the newest seen (µs); `members`: those who are in as of what has been seen.
    """

    plan: pql.Plan
    segment_id: str
    profiles_max: int
    log_time: int = 0
    rows: int = 0
    members: set[str] = field(default_factory=set)
    _states: ProfileStates = field(default_factory=ProfileStates)
    _namespaces: dict[str, frozenset[str]] = field(default_factory=dict)
    _known: dict[frozenset[str], frozenset[str]] = field(default_factory=dict)
    _reads_attributes: bool = False

    def __post_init__(self) -> None:
        self._reads_attributes = bool(self.plan.on_profile or self.plan.since)

    @property
    def profiles(self) -> int:
        """How many people have been seen."""
        return len(self._states)

    def profile_ids(self) -> list[str]:
        """Returns all people that have been seen."""
        return list(self._states)

    def observe(self, fact: Fact) -> None:
        """Applies one fact. Raises Rejected when there are more people than `profiles_max`."""
        self.rows += 1
        self.log_time = max(self.log_time, fact.received_at)
        if fact.type == "tick":
            return
        id_ = fact.profile_id
        state = self._states.take(id_)
        if state is None:
            if len(self._states) >= self.profiles_max:
                raise Rejected(f"the sample has more than {self.profiles_max} people; sample fewer partitions")
            state = new_state(fact.tenant)
        self._note_namespaces(id_, fact)
        try:
            if fact.type == "event" or self._reads_attributes:
                outcome = apply_fact(self.plan, state, id_, fact)
            else:  # attributes nobody asks for are not worth their memory
                outcome = pql.due(self.plan, state.engine, pql.Profile(id_, {}), fact.received_at)
        except Rejected:  # dead-lettered by the stream too, which leaves the person as they were
            self._states.put(id_, state)
            return
        self._settle(id_, state, outcome)

    def bring_forward(self, profile_id: str, now: int) -> None:
        """Lets time pass for one person, up to and including `now` (µs)."""
        state = self._states.take(profile_id)
        if state is not None:
            profile = pql.Profile(profile_id, state.attributes)
            self._settle(profile_id, state, pql.due(self.plan, state.engine, profile, now))

    def members_by_namespace(self) -> dict[str, int]:
        """Counts members by the namespaces of the identities seen with them, largest first."""
        counts = Counter(namespace for id_ in self.members for namespace in self._namespaces.get(id_, ()))
        return dict(counts.most_common())

    def _settle(self, id_: str, state: State, outcome: pql.Outcome) -> None:
        state.engine = outcome.state
        self._states.put(id_, state)
        if self.segment_id in state.engine.members:
            self.members.add(id_)
        else:
            self.members.discard(id_)

    def _note_namespaces(self, id_: str, fact: Fact) -> None:
        found = frozenset(identity.namespace for identity in fact.identities)
        held = self._namespaces.get(id_)
        if held is None or not found <= held:
            whole = found | (held or frozenset())
            # People share few sets of namespaces: one object for each.
            self._namespaces[id_] = self._known.setdefault(whole, whole)
