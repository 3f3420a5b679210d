"""What happens in one schedule, drawn from its seed: records, faults, limits. Running it draws from the seed again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from msgspec import DecodeError
from msgspec.json import decode
from msgspec.structs import replace

from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS
from shared.runtime.context import Limits
from tests.simulation.ledger import LIMIT_US

PARTITIONS = 2
SEGMENTATION_SHARE = 0.03
"""Of all schedules; the others run the ledger, which is some ten times as fast."""
WALL_SHARE = 0.06
"""Of the ledger's schedules; the others move time by the log alone."""
START = 1_700_000_000_000_000
"""Log time (µs) at which every schedule begins."""

STEP_FAULTS = (
    *("crash", "crash", "crash", "pause", "pause", "rebalance", "takeover", "add worker"),
    *("Redis rolled back", "Redis rolled back", "Redis rolled back", "Redis down", "Redis lost"),
    *("redeliver", "skip", "truncate", "truncate and roll back", "clock jump"),
)
CALL_FAULTS = ("response lost", "request lost", "doubled", "late", "refused")
SEND_FAULTS = ("not stored", "acknowledgement lost", "acknowledged late", "sent twice")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record written to the log at `at_s` (virtual seconds)."""

    at_s: float
    partition: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Fault:
    """`when`: the step, Redis call or produced batch it strikes. `dice`: draws in [0, 1) for its details."""

    kind: str
    when: int
    dice: tuple[float, float, float]

    def __str__(self) -> str:
        unit = "call" if self.kind in CALL_FAULTS else "send" if self.kind in SEND_FAULTS else "step"
        return f"{self.kind} at {unit} {self.when}"


@dataclass(frozen=True)
class Plan:
    """One schedule. `end`: log time (µs) of its last record."""

    seed: int
    stage: str
    wall: bool
    workers: int
    limits: Limits
    fetch_rows: int
    batch_rows: int
    arrivals: tuple[Arrival, ...]
    end: int
    faults: tuple[Fault, ...]
    redrive: bool
    kinds: Counter[str]

    @property
    def time_is_sound(self) -> bool:
        """False when the wall clock jumps: deadlines then fire early or late, and only sums can be compared."""
        return not (self.wall and any(fault.kind == "clock jump" for fault in self.faults))


_NAMES: tuple[tuple[str, ...], ...] = tuple(
    tuple(name for name in (f"p{n}" for n in range(200)) if partition_of(name, EVENTS.partitions) == partition)
    for partition in range(PARTITIONS)
)


def plan(seed: int) -> Plan:
    """Draws a schedule."""
    random = Random(seed)
    stage = "segmentation" if random.random() < SEGMENTATION_SHARE else "ledger"
    wall = stage == "ledger" and random.random() < WALL_SHARE
    rows = min(random.randint(5, 20) for _ in range(3))  # mostly short: many small schedules find more than few large
    arrivals, end = _arrivals(random, rows, wall, stage)
    return Plan(
        seed=seed,
        stage=stage,
        wall=wall,
        workers=random.choice((1, 2)),
        limits=Limits(
            batch_rows_max=random.choice((1, 2, 4, 100)),
            rows_queued_max=random.choice((1, 4, 100)),
            batches_unsettled_max=random.choice((1, 2, 4)),
            states_cached_max=random.choice((1, 2, 100)),
            deadlines_slice_max=random.choice((1, 2, 100)),
        ),
        fetch_rows=random.choice((1, 3, 100)),
        batch_rows=random.choice((1, 2, 100)),
        arrivals=arrivals,
        end=end,
        faults=tuple(_fault(random, rows) for _ in range(random.choice((1, 1, 2, 2, 3, 4)))),
        redrive=stage == "ledger" and random.random() < 0.3,
        kinds=_kinds(arrivals),
    )


def _fault(random: Random, rows: int) -> Fault:
    dice = (random.random(), random.random(), random.random())
    where = random.random()
    if where < 0.65:
        return Fault(random.choice(STEP_FAULTS), random.randint(1, 40 + 30 * rows), dice)
    if where < 0.85:
        return Fault(random.choice(CALL_FAULTS), random.randint(1, 4 + rows), dice)
    return Fault(random.choice(SEND_FAULTS), random.randint(1, 1 + rows), dice)


def _arrivals(random: Random, rows: int, wall: bool, stage: str) -> tuple[tuple[Arrival, ...], int]:
    """Facts in order of log time, with repeats, equal instants and late events, poison and rubbish among them."""
    at = START
    arrivals: list[Arrival] = []
    sent: list[tuple[int, bytes, Fact]] = []
    pace = 1.0 if wall else random.choice((0.0, 0.001, 0.1))
    names = [(p, name) for p in range(PARTITIONS) for name in _NAMES[p][: random.randint(1, 2)]]
    if random.random() < 0.4:
        names = names[:2]
    for number in range(rows):
        at += random.choice((0, 0, 1_000, 100_000, 400_000, LIMIT_US - 1, LIMIT_US, LIMIT_US + 1))
        chance = random.random()
        if sent and chance < 0.12:
            partition, key, fact = random.choice(sent)
            value = encode(replace(fact, received_at=at))
        elif chance < 0.16:
            partition, key, value = random.randrange(PARTITIONS), b"p0", b'{"id": 1'
        else:
            partition, name = random.choice(names)
            fact = _fact(random, number, name, at, chance)
            key, value = name.encode(), encode(fact)
            sent.append((partition, key, fact))
        arrivals.append(Arrival(seconds(at) * pace, partition, key, value))
    end = at + random.choice((0, LIMIT_US - 1, LIMIT_US, 10 * LIMIT_US))
    if random.random() < 0.7 or wall or stage == "segmentation":
        # The others end with a fact, and what lapses later is still to come.
        arrivals += [Arrival(seconds(end) * pace, partition, None, tick(end)) for partition in range(PARTITIONS)]
    return tuple(arrivals), end


def _fact(random: Random, number: int, name: str, at: int, chance: float) -> Fact:
    body = {"amount": random.choice((0.1, 0.2, 0.7, 1e16)), "eventType": random.choice(("view", "buy"))}
    if chance > 0.93:
        body["poison"] = True
    late = random.choice((0, 0, 1, LIMIT_US // 2, LIMIT_US, 3 * LIMIT_US, -LIMIT_US))
    return Fact(f"e{number}", "event", "t", name, at - late, at, body=body)


def _kinds(arrivals: Sequence[Arrival]) -> Counter[str]:
    """Counts repeats, late events and facts of one instant."""
    kinds: Counter[str] = Counter()
    ids: set[str] = set()
    instants: set[int] = set()
    for arrival in arrivals:
        try:
            fact = decode(arrival.value or b"", type=Fact)
        except DecodeError:
            kinds["rubbish"] += 1
            continue
        if fact.type == "tick":
            continue
        kinds["repeated facts"] += fact.id in ids
        kinds["late facts"] += fact.occurred_at < fact.received_at
        kinds["facts at one instant"] += fact.received_at in instants
        ids.add(fact.id)
        instants.add(fact.received_at)
    return kinds


def tick(at: int) -> bytes:
    """A record that only says that log time has reached `at`."""
    return encode(Fact("tick", "tick", "t", "", at, at))


def repair(value: bytes, at: int) -> bytes | None:
    """Takes the poison out of a refused fact, which then arrives at `at`; None for what cannot be repaired."""
    try:
        fact = decode(value, type=Fact)
    except DecodeError:
        return None
    return encode(replace(fact, received_at=at, body=fact.body | {"poison": False}))


def seconds(at: int) -> float:
    """Virtual seconds from the beginning to a log time (µs)."""
    return (at - START) / 1e6
