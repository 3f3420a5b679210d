"""The backtest itself: events in order of time through the engine, memberships read at instants.

At an instant T exactly the events before T have been seen, and all that time alone brings up to and including T.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from shared.cli.segments.backtest.events import Happening
from shared.cli.segments.backtest.states import States
from shared.pql import Change, Event, Outcome, Plan, Profile, ProfileState, absorb, catch_up, due, evaluate

OnChanges = Callable[[str, tuple[Change, ...]], None]
"""Called with a profile and its transitions, in order for each profile."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Who is in a segment at an instant (µs): ids in order of their bytes."""

    at: int
    segment: str
    members: Sequence[str]

    @property
    def md5(self) -> str:
        """MD5 of the ids joined by newlines: a fingerprint for comparison, not for safety."""
        return hashlib.md5("\n".join(self.members).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to look: at fixed instants, at every multiple of a span (µs), or both; with neither, after the last event.

    Multiples count from `start` if there is one, else from midnight 1970. They end with the last of `at`, else with
    the first after the last event.
    """

    at: tuple[int, ...] = ()
    every: int | None = None
    start: int | None = None

    @property
    def end(self) -> int | None:
        """Events from here on are not seen; None where the data ends the backtest."""
        return max(self.at) if self.at else None

    def instants(self, first: int) -> Iterator[int]:
        """Instants in order, given the first event's; without end if nothing but `every` is known."""
        if self.every is None:
            yield from sorted(set(self.at))
            return
        base = 0 if self.start is None else self.start
        step = base + ((first - base) // self.every + 1) * self.every if self.start is None else base + self.every
        fixed = sorted(set(self.at))
        while not self.at or step <= fixed[-1]:
            while fixed and fixed[0] < step:
                yield fixed.pop(0)
            if fixed and fixed[0] == step:
                fixed.pop(0)
            yield step
            if self.at and not fixed:
                return
            step += self.every
        yield from fixed


@dataclass(slots=True)
class Backtest:
    """Runs a plan over events. `events` and `clock` (µs) say how far it is.

    Where nobody wants the transitions, events only enter the history that segments read, and what they touched is
    evaluated when somebody looks: the memberships are the same, for a fraction of the work.
    """

    plan: Plan
    on_changes: OnChanges | None = None
    states: States = field(default_factory=States)
    touched: dict[str, set[int]] = field(default_factory=dict)
    events: int = 0
    clock: int = 0

    def run(self, happenings: Iterator[Happening], schedule: Schedule) -> Iterator[list[Snapshot]]:
        """Yield the snapshots of each instant, in order; `happenings` are sorted and end before the schedule does."""
        first = next(happenings, None)
        if first is None:
            yield from (self.look(at) for at in sorted(set(schedule.at)))
            return
        instants = schedule.instants(first.at)
        ahead = next(instants, None)
        for one in itertools.chain((first,), happenings):
            while ahead is not None and one.at >= ahead:
                yield self.look(ahead)
                ahead = next(instants, None)
            self.feed(one)
        if ahead is None:
            yield self.look(self.clock + 1)
            return
        yield self.look(ahead)
        if schedule.at:
            yield from (self.look(at) for at in instants)

    def feed(self, one: Happening) -> None:
        """Apply one event at its own time."""
        self.events += 1
        self.clock = one.at
        state = self.states.take(one.profile)
        event = Event(one.id, one.at, one.type, one.body)
        if self.on_changes is None:
            self._remember(state, one.profile, event)
        else:
            self._report(one.profile, evaluate(self.plan, state, Profile(one.profile, {}), event, one.at))
        self.states.put(one.profile, state)

    def _remember(self, state: ProfileState, id_: str, event: Event) -> None:
        """Put an event into the history without evaluating anything."""
        touched = absorb(self.plan, state, Profile(id_, {}), event, event.occurred_at)
        if touched:
            known = self.touched.get(id_)
            if known is None:
                self.touched[id_] = touched
            else:
                known |= touched

    def _report(self, profile: str, outcome: Outcome) -> None:
        if outcome.changes and self.on_changes is not None:
            self.on_changes(profile, outcome.changes)

    def look(self, at: int) -> list[Snapshot]:
        """The members of every segment at an instant, in order of the segments' names."""
        for id_ in {*self.states.due(at), *self.touched}:
            state, profile = self.states.take(id_), Profile(id_, {})
            if self.on_changes is None:
                catch_up(self.plan, state, profile, self.touched.get(id_, ()), at)
            else:
                self._report(id_, due(self.plan, state, profile, at))
            self.states.put(id_, state)
        self.touched.clear()
        members: dict[str, list[str]] = {segment.spec.id: [] for segment in self.plan.segments}
        for segment, id_ in self.states.members():
            members[segment].append(id_)
        # Code point order is the order of the UTF-8 bytes.
        return [Snapshot(at, name, sorted(ids)) for name, ids in sorted(members.items())]
