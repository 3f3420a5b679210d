"""The left fold of one partition's log: which transitions, in which order, with which cause.

Written against the language's documentation, not against the engine: after each fact, and at each instant at which a
window may open or close, the segments concerned are asked again. `test_oracle.py` compares it with the naive evaluator.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from shared.contracts.facts import Fact
from tests.chaos.life import ANY, ATTRIBUTES, Life
from tests.chaos.segments import BUY, DAY, MAIN_RULES, VIEW, Rules, Segment, features


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """A transition without its id. `cause`: `fact:<id>` or `deadline:<instant>`."""

    effective_at: int
    cause: str
    segment: str
    change: str


@dataclass(slots=True)
class Folded:
    """One profile, folded. `vectors`: fact id to (log time, features) for each fact that touched a feature."""

    life: Life = field(default_factory=Life)
    members: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    vectors: dict[str, tuple[int, tuple[float, ...]]] = field(default_factory=dict)
    activities: Counter[str] = field(default_factory=Counter)
    now: int = 0
    seen: set[str] = field(default_factory=set)
    instants: list[tuple[int, str]] = field(default_factory=list)


class Oracle:
    """Folds facts in log order. `profiles` holds the results by profile id."""

    def __init__(self, rules: Rules = MAIN_RULES) -> None:
        self.rules = rules
        self.profiles: dict[str, Folded] = {}
        self.log_time = 0

    def fold(self, key: str, fact: Fact) -> None:
        """Takes one record of the log; the second of the same id changes nothing, and a score moves nothing that is
        asked here."""
        if fact.type == "score":
            return
        reached = self.log_time
        self.log_time = max(self.log_time, fact.received_at + (fact.type == "tick"))
        if fact.type == "tick":
            return
        profile = self.profiles.get(key)
        is_new = profile is None
        if profile is None:
            profile = self.profiles[key] = Folded()
        self._pass_time(profile, max(fact.received_at, profile.now, reached) - 1)
        now = profile.now = max(fact.received_at, profile.now)
        if fact.id in profile.seen:
            return
        profile.seen.add(fact.id)
        touched = _take(self.rules, profile, fact, now)
        _ask(profile, self.rules.segments if is_new else self.rules.readers[touched], now, f"fact:{fact.id}")
        # A view that is out of its window on arrival moves no feature.
        viewed = fact.event_type == VIEW and now - fact.occurred_at <= 7 * DAY
        if self.rules.vectors and (fact.event_type == BUY or viewed):
            profile.vectors[fact.id] = (fact.received_at, features(profile.life, now))

    def end(self) -> None:
        """Lets all profiles reach the log's time: a deadline has fired when the log is past it."""
        for profile in self.profiles.values():
            self._pass_time(profile, self.log_time - 1)

    def _pass_time(self, profile: Folded, until: int) -> None:
        instants = profile.instants
        while instants and instants[0][0] <= until:
            at = instants[0][0]
            touched: dict[str, Segment] = {}
            while instants and instants[0][0] == at:
                touched |= {segment.id: segment for segment in self.rules.readers[heappop(instants)[1]]}
            profile.now = max(profile.now, at)
            _ask(profile, touched.values(), at, f"deadline:{at}")


def _take(rules: Rules, profile: Folded, fact: Fact, now: int) -> str:
    """Adds a fact to the life; returns what it may have changed."""
    if fact.type != "event":
        profile.life.tier = fact.body["loyalty"]["tier"]
        return ATTRIBUTES
    type_, at = fact.event_type, fact.occurred_at
    price = fact.body.get("commerce", {}).get("order", {}).get("priceTotal", 0.0)
    profile.life.add(type_, at, round(price * 4), fact.body["device"]["type"])
    profile.activities[type_] += 1
    if at > now:
        heappush(profile.instants, (at, type_))
    for span in {*rules.spans[type_], *rules.spans[ANY]}:
        if at + span + 1 > now:
            heappush(profile.instants, (at + span + 1, type_))
    return type_


def _ask(profile: Folded, segments: Iterable[Segment], now: int, cause: str) -> None:
    """Asks segments again and notes who entered and who left."""
    for segment in segments:
        inside = segment.holds(profile.life, now)
        if inside == (segment.id in profile.members):
            continue
        profile.moves.append(Move(now, cause, segment.id, "entered" if inside else "exited"))
        if inside:
            profile.members[segment.id] = now
            profile.left.pop(segment.id, None)
        else:
            del profile.members[segment.id]
            profile.left[segment.id] = now
