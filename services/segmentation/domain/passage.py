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
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.generations import Generation, lacking_history
from services.segmentation.domain.replay import HASHES, Replay
from services.segmentation.domain.state import Seed, State
from services.segmentation.domain.status import RUNNING, STATUS, TARGET, Status
from shared import pql
from shared.contracts.facts import Fact
from shared.kernel.clock import Micros
from shared.runtime.stage import Due, Turn, ViewWrite

_TAIL_ROWS_MAX = 500
_RECENT_ROWS_MAX = 8_192
"""Facts remembered as they are decided, for the last stretch of a replay: a reader of the log alone might never quite
catch up with a busy partition."""
_REPORT_EVERY_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """`profiles_max`: held in one slice; `turn_keys`: seeded at once. `take(n)`: whether n rows of the rate limit
    may be used now; `now`: the wall clock, µs."""

    profiles_max: int
    turn_keys: int
    take: Callable[[int], bool]
    now: Callable[[], int]


class Passage:
    """The state of one partition's passage in the process that owns it."""

    def __init__(self, running: Generation, bounds: Bounds, status: Status | None, target: Generation | None) -> None:
        self.running = running
        self.target = target
        self.status = status or Status(running.id)
        self.replay: Replay | None = None
        self.position = -1
        self.swept = False
        self.seeding = False
        self._registered = status is not None
        self._bounds = bounds
        self._wanted: Generation | None = None
        self._log: tuple[int, int] | None = None
        self._recent: deque[tuple[int, Fact]] = deque()
        self._recent_from = 0
        self._found: deque[str] = deque()
        self._seeded: Sequence[str] = ()

    @property
    def busy(self) -> bool:
        """Whether it is under way, or asked to be."""
        return self.target is not None or self._wanted is not None or not self._registered

    @property
    def wants_turn(self) -> bool:
        """Whether a turn would bring it on: not while it waits for its reader."""
        if not self._registered or self._seeded or self._found:
            return True
        if self._log is None or (self.target is None and self._wanted is None):
            return False
        if self.target is None or self.status.phase != "replay":
            return self.target is None or self.swept
        return self.replay is None or self.replay.begun

    def lacks(self, generation: Generation) -> bool:
        """Whether the partition is neither there, nor on its way to `generation`, nor asked to go."""
        return generation.id != (self._wanted or self.target or self.running).id

    def want(self, generation: Generation) -> None:
        """Asks for the passage to `generation`, once the one that is under way has ended."""
        self._wanted = None if generation.id == (self.target or self.running).id else generation

    def locate(self, start: int, end: int) -> None:
        """Says which offsets the partition's log has, seen after the partition was claimed."""
        self._log = (start, max(end, self._log[1] if self._log else 0))

    @property
    def needs_location(self) -> bool:
        """Whether it waits for `locate`."""
        return self._log is None and (self.target is not None or self._wanted is not None)

    # What the step asks.

    def definitions_of(self, state: State) -> Definitions:
        """The definitions that a profile lives under."""
        if self.target is not None and state.engine.plan == self.target.definitions.plan.key:
            return self.target.definitions
        return self.running.definitions

    @property
    def newest(self) -> Definitions:
        """What new profiles begin under: they have no history to lack."""
        return (self.target or self.running).definitions

    def observe(self, offset: int, fact: Fact) -> None:
        """Hears of every fact that has been decided."""
        if self.replay is None:
            return
        if self.replay.in_step:
            self.replay.observe(offset, fact)
            return
        if not self._recent or offset > self._recent[-1][0]:  # a batch that failed is stepped again
            self._recent.append((offset, fact))
        if len(self._recent) > _RECENT_ROWS_MAX:
            self._recent_from = self._recent.popleft()[0] + 1

    def seed_for(self, profile_id: str, state: State, now: int) -> Seed | None:
        """What a profile needs to come over; None for one that has come over or is about to."""
        assert self.target is not None
        if state.seed is not None or state.engine.plan == self.target.definitions.plan.key:
            return None
        history = self.replay.history(profile_id) if self.replay is not None else b""
        return Seed(self.target.id, max(now, state.engine.now), history)

    # What the runtime asks, between micro-batches.

    def next_turn(self, position: int, now: Micros) -> Turn | None:
        self.position = position
        if not self._registered:
            return self._write(self._note_registered, barrier=True)
        if self._log is None:
            return None
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
        self.target = new
        self.swept = False
        lacking = bool(lacking_history(self.running, new))
        self.status = Status(
            self.running.id,
            new.id,
            "replay" if lacking else "sweep",
            rows_all=max(0, position + 1 - self._log[0]),
            started_at=self._bounds.now(),
            history_from=self.status.history_from,
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
        if position + 1 < self._log[1] or replay.read_to < self._recent_from or not replay.has_applied(position):
            return False
        for offset, fact in self._recent:
            replay.observe(offset, fact)
        self._recent.clear()
        replay.fall_in(position)
        return True

    def _open_slice(self, position: int) -> Replay:
        assert self.target is not None
        assert self._log is not None
        plan = pql.history_plan(self.running.definitions.plan, self.target.definitions.plan)
        assert plan is not None
        self.replay = Replay(plan, self.status.low, self._log[0], self._bounds.profiles_max)
        self._recent.clear()
        # Of what a torn write has applied beyond the fence, nothing is heard; the reader must see it.
        self._recent_from = max(position + 1, self._log[1])
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
        count = min(len(found), self._bounds.turn_keys)
        if count == 0 or not self._bounds.take(count):
            return self._report()
        keys = [found.popleft() for _ in range(count)]
        self.seeding = True
        return Turn([Due(key, now) for key in keys], barrier=True, done=lambda: self._note_seeded(keys))

    def _note_seeded(self, keys: Sequence[str]) -> None:
        self.seeding = False
        self._seeded = keys
        self.status.profiles += len(keys)
        if self.replay is not None:
            self.replay.forget(keys)

    def _complete(self, new: Generation | None = None) -> Turn:
        """Every profile lives under the target."""
        ended = new or self.target
        assert ended is not None
        kept = {name: at for name, at in self.status.history_from.items() if self._is_unchanged(name, ended)}
        if self.status.cut_from:
            kept |= dict.fromkeys(lacking_history(self.running, ended), self.status.cut_from)
        self.status = Status(
            ended.id,
            rows_all=self.status.rows_all,
            profiles=self.status.profiles,
            started_at=self.status.started_at,
            history_from=kept,
        )
        self.running, self.target, self.replay, self.swept = ended, None, None, False
        return self._write()

    def _is_unchanged(self, name: str, new: Generation) -> bool:
        return self.running.definitions.version_of(name) == new.definitions.version_of(name) != 0

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
        if self.target is None:
            views += [ViewWrite("set", RUNNING, self.running.encoded), ViewWrite("delete", TARGET)]
        elif barrier:
            views.append(ViewWrite("set", TARGET, self.target.encoded))
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
