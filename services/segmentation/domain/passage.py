"""One partition's way from the definitions it decides by to those it shall decide by.

Every profile lives under one generation of definitions: the one its state was last evaluated under. To bring all of
them over, while facts go on being decided:

1. *Register*: the target is made durable. From then on new profiles live under it.
2. *Replay*, slice by slice (ranges of a hash of the profile id): the log is read from its start into histories that
   only the target keeps, until these are in step with what the partition has decided; then each step feeds them too.
3. *Seed*: some profiles at a time get their history written into their own state, with the instant of the change.
   Nothing is said yet. A barrier makes it durable.
4. *Come over*: seeded profiles are visited, or touched by their next fact, whichever is first: they take the history
   over, are judged under the target, and the differences leave as transitions. This depends on the state alone, so
   a crash between saying it and keeping it repeats the very same.
5. *Sweep*, where the log no longer tells all profiles, or nothing had to be replayed: every state in Redis is seeded,
   without a history.

    killed in 2, or before a seed is durable -> the slice is read again; nothing had been said of it
    killed after                             -> the seed is in the state: the profile comes over all the same

When nothing that the target changes is wanted any more, the passage *turns*: what is wanted is registered as target
at once, and what was it is *left*, a generation that some profiles come over from. Seeds for it count no more.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from services.segmentation.domain.bounds import Bounds, TurnSize
from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.generations import Generation, history_plan
from services.segmentation.domain.replay import HASHES, Recent, Replay
from services.segmentation.domain.state import Seed, State
from services.segmentation.domain.status import STATUS, Status
from services.segmentation.domain.way import Way
from shared.contracts.facts import Fact
from shared.kernel.clock import Micros
from shared.runtime.stage import Due, Turn, ViewWrite

_TAIL_ROWS_MAX = 500
_REPORT_EVERY_US = 1_000_000


class Passage:
    """The state of one partition's passage in the process that owns it."""

    def __init__(self, way: Way, bounds: Bounds, status: Status | None) -> None:
        self.way = way
        self.status = status or Status(way.running.id)
        self.replay: Replay | None = None
        self.position = -1
        self.swept = False
        self.seeding = False
        self._registered = status is not None
        self._bounds = bounds
        self._size = TurnSize(bounds.turn_keys)
        self._wanted: Generation | None = None
        self._turns = False
        self._log: tuple[int, int] | None = None
        self._recent = Recent(0)
        self._found: deque[str] = deque()
        self._seeded: Sequence[str] = ()

    @property
    def running(self) -> Generation:
        return self.way.running

    @property
    def target(self) -> Generation | None:
        return self.way.target

    @property
    def busy(self) -> bool:
        """Whether it is under way, or asked to be."""
        return self.target is not None or self._wanted is not None or not self._registered

    @property
    def wants_turn(self) -> bool:
        """Whether a turn would bring it on: not while it waits for its reader."""
        if not self._registered or self._seeded or self._found:
            return True
        if self._turns and self._log is not None:
            return True
        if self._log is None or (self.target is None and self._wanted is None):
            return False
        if self.target is None or self.status.phase != "replay":
            return self.target is None or self.swept
        return self.replay is None or self.replay.begun

    def lacks(self, generation: Generation) -> bool:
        """Whether the partition is neither there, nor on its way to `generation`, nor asked to go."""
        return generation.id != (self._wanted or self.way.end).id

    def want(self, generation: Generation) -> None:
        """Asks for the passage to `generation`: after the one under way, or in its place if that is given up."""
        self._wanted = None if generation.id == self.way.end.id else generation
        self._turns = self._wanted is not None and self.way.turns_for(self._wanted)

    def locate(self, start: int, end: int) -> None:
        """Says which offsets the partition's log has, seen after the partition was claimed."""
        self._log = (start, max(end, self._log[1] if self._log else 0))

    @property
    def needs_location(self) -> bool:
        """Whether it waits for `locate`."""
        return self._log is None and (self.target is not None or self._wanted is not None)

    def definitions_of(self, state: State) -> Definitions:
        return self.way.definitions_of(state)

    @property
    def newest(self) -> Definitions:
        """What new profiles begin under: they have no history to lack."""
        return self.way.end.definitions

    def observe(self, offset: int, fact: Fact, reached: int) -> None:
        """Hears of every fact that has been decided; `reached` as in `apply_fact`."""
        if self.replay is None:
            return
        if self.replay.in_step:
            self.replay.observe(offset, fact, reached)
        else:
            self._recent.add(offset, fact, reached)

    def seed(self, profile_id: str, state: State, now: int) -> bool:
        """Gives a profile what it needs to come over; False for one that has come over or is about to."""
        assert self.target is not None
        seeded = state.seed is not None
        if self.way.takes_over(state):
            return False
        if not self.way.has_come(state):
            history = self.replay.history(profile_id) if self.replay is not None else b""
            state.seed = Seed(self.target.id, max(now, state.engine.now), history)
        return seeded or state.seed is not None

    # What the runtime asks, between micro-batches.

    def next_turn(self, position: int, now: Micros) -> Turn | None:
        self.position = position
        if not self._registered:
            return self._write(self._note_registered, barrier=True)
        if self._log is None:
            return None
        if self._turns:
            return self._turn_round()
        if self._seeded:
            keys, self._seeded = self._seeded, ()
            return Turn([Due(key, now) for key in keys])
        if self.target is None:
            return self._register(position) if self._wanted is not None else None
        if self.status.phase == "replay":
            return self._replay_turn(position, now)
        return self._seed_turn(self._found, now) if self._found or not self.swept else self._complete()

    def _note_registered(self) -> None:
        self._registered = True

    def _register(self, position: int) -> Turn:
        """Makes the target durable before anything is decided by it."""
        assert self._wanted is not None
        assert self._log is not None
        new, self._wanted = self._wanted, None
        if position < 0 or new.definitions.plan.key == self.running.definitions.plan.key:
            return self._complete(new)
        return self._begin(new)

    def _turn_round(self) -> Turn:
        """Gives the target up. Whoever lives under it comes over from there, with all others."""
        assert self._wanted is not None
        new, self._wanted, self._turns = self._wanted, None, False
        self.replay, self.seeding, self._seeded = None, False, ()
        self._found.clear()
        return self._begin(new)

    def _begin(self, new: Generation) -> Turn:
        assert self._log is not None
        self.way = self.way.towards(new)
        self.swept = False
        self.status = Status(
            self.running.id,
            new.id,
            "replay" if self.way.lacking(new) else "sweep",
            rows_all=max(0, self.position + 1 - self._log[0]),
            started_at=self._bounds.now(),
            history_from=self.status.history_from,
            left=[generation.id for generation in self.way.left],
        )
        return self._write(barrier=True)

    def _replay_turn(self, position: int, now: Micros) -> Turn | None:
        replay = self._open_slice(position) if self.replay is None else self.replay
        if not replay.in_step:
            if not self._fall_in(replay, position):
                return self._report()
            self._found.extend(replay.keys())
        if self._found:
            return self._seed_turn(self._found, now)
        return self._close_slice(replay)

    def _fall_in(self, replay: Replay, position: int) -> bool:
        """Brings a replay in step once what it lacks is at hand and little."""
        assert self._log is not None
        replay.advance(position, _TAIL_ROWS_MAX)
        # What a torn write has put beyond the fence lies before the end that was seen after the claim.
        if position + 1 < self._log[1] or replay.read_to < self._recent.start or not replay.has_applied(position):
            return False
        self._recent.told_to(replay)
        replay.fall_in(position)
        return True

    def _open_slice(self, position: int) -> Replay:
        assert self.target is not None
        assert self._log is not None
        plan = history_plan(self.way.origins, self.target)
        assert plan is not None
        self.replay = Replay(plan, self.status.low, self._log[0], self._bounds.profiles_max)
        # Of what a torn write has applied beyond the fence, nothing is heard; the reader must see it.
        self._recent = Recent(max(position + 1, self._log[1]))
        self.status.high, self.status.rows, self.status.rows_all = HASHES, 0, max(1, position + 1 - self._log[0])
        return self.replay

    def _close_slice(self, replay: Replay) -> Turn:
        """All profiles of the slice have come over; what is left is the next slice, a sweep, or nothing."""
        if replay.start > 0:
            self.status.cut_from = max(self.status.cut_from, replay.first_at)
        self.replay = None
        self.status.low, self.status.rows = replay.high, 0
        if replay.high < HASHES:
            return self._write()
        if replay.start == 0:  # whoever has a state has a record in the log
            return self._complete()
        self.status.phase = "sweep"
        return self._write()

    def _seed_turn(self, found: deque[str], now: Micros) -> Turn | None:
        count = min(len(found), self._size.keys)
        if count == 0 or not self._bounds.take(count):
            return self._report()
        keys = [found.popleft() for _ in range(count)]
        self.seeding, began = True, self._bounds.now()
        return Turn([Due(key, now) for key in keys], barrier=True, done=lambda: self._note_seeded(keys, began))

    def _note_seeded(self, keys: Sequence[str], began: int) -> None:
        self._size.took(len(keys), self._bounds.now() - began)
        self.seeding = False
        self._seeded = keys
        self.status.profiles += len(keys)
        if self.replay is not None:
            self.replay.forget(keys)

    def _complete(self, new: Generation | None = None) -> Turn:
        """Every profile lives under the target."""
        ended = new or self.target
        assert ended is not None
        kept = {name: at for name, at in self.status.history_from.items() if self.way.keeps(name, ended)}
        if self.status.cut_from:
            kept |= dict.fromkeys(self.way.lacking(ended), self.status.cut_from)
        self.status = Status(
            ended.id,
            rows_all=self.status.rows_all,
            profiles=self.status.profiles,
            started_at=self.status.started_at,
            history_from=kept,
        )
        self.way, self.replay, self.swept = self.way.arrived(ended), None, False
        return self._write()

    def _report(self) -> Turn | None:
        """Writes how far it has come, once a second."""
        if self.replay is not None:
            self.status.high = self.replay.high
            self.status.rows = self.replay.next - self.replay.start
        if self._bounds.now() - self.status.updated_at < _REPORT_EVERY_US:
            return None
        return self._write()

    def _write(self, done: Callable[[], None] = lambda: None, barrier: bool = False) -> Turn:
        self.status.updated_at = self._bounds.now()
        views = [ViewWrite("set", STATUS, msgspec.json.encode(self.status))]
        if self.target is None or barrier:
            views += self.way.views()
        return Turn(views=views, barrier=barrier, done=done)

    # What the reader of the log and of Redis' keys tells.

    @property
    def needs_rows(self) -> bool:
        """Whether the log is to be read into `replay`."""
        return self.replay is not None and not self.replay.in_step

    @property
    def needs_keys(self) -> bool:
        """Whether the partition's profiles are to be listed by `find`."""
        return self.target is not None and self.status.phase == "sweep" and not self.swept

    def find(self, keys: Iterable[str]) -> int:
        """Takes profiles to seed in the sweep; returns how many wait."""
        self._found.extend(keys)
        return len(self._found)
