"""What happens in one schedule, drawn from its seed: records, faults, limits. Running it draws from the seed again."""

from collections import Counter
from collections.abc import Iterator, Sequence
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
FEED_SHARE = 0.05
"""Of the ledger's schedules: the feed itself polls, which takes some times as long."""
WALL_FEED_SHARE = 0.4
"""The same for those on the wall clock."""
BACKWARD_SHARE = 0.2
"""Of the schedules on the stream clock: log times go back between records, as where several writers share a log."""
START = 1_700_000_000_000_000
"""Log time (µs) at which every schedule begins."""

STEP_FAULTS = (
    *("crash", "crash", "crash", "pause", "pause", "rebalance", "takeover", "add worker"),
    *("Redis rolled back", "Redis rolled back", "Redis rolled back", "Redis down", "Redis lost"),
    *("redeliver", "skip", "slow fetch", "truncate", "truncate and roll back", "clock jump"),
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
    feed: bool
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
        """False when the wall clock jumps: when deadlines fire then depends on when records are read, and only sums can
        be compared."""
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
    backward = stage == "ledger" and not wall and random.random() < BACKWARD_SHARE
    feed = stage == "ledger" and random.random() < (WALL_FEED_SHARE if wall else FEED_SHARE)
    arrivals, end = _arrivals(random, rows, wall, stage, backward)
    return Plan(
        seed=seed,
        stage=stage,
        wall=wall,
        feed=feed,
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
        faults=tuple(_faults(random, rows, wall and feed)),
        redrive=stage == "ledger" and random.random() < 0.3,
        kinds=_kinds(arrivals),
    )


def _faults(random: Random, rows: int, waits_for_log: bool) -> Iterator[Fault]:
    """Some faults; where deadlines wait for what the feed has read, mostly an answer that comes late."""
    for _ in range(random.choice((1, 1, 2, 2, 3, 4))):
        yield _fault(random, rows)
    if waits_for_log and random.random() < 0.6:
        yield Fault("slow fetch", random.randint(20, 40 * rows), (0.0, random.random(), 0.0))


def _fault(random: Random, rows: int) -> Fault:
    dice = (random.random(), random.random(), random.random())
    where = random.random()
    if where < 0.65:
        return Fault(random.choice(STEP_FAULTS), random.randint(1, 40 + 30 * rows), dice)
    if where < 0.85:
        return Fault(random.choice(CALL_FAULTS), random.randint(1, 4 + rows), dice)
    return Fault(random.choice(SEND_FAULTS), random.randint(1, 1 + rows), dice)


def _arrivals(random: Random, rows: int, wall: bool, stage: str, backward: bool) -> tuple[tuple[Arrival, ...], int]:
    """Facts in order of log time, unless `backward`; repeats, equal instants, late events, poison and rubbish."""
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
            back = random.choice((0, 0, 1_000, LIMIT_US, 4 * LIMIT_US)) if backward else 0
            fact = _fact(random, number, name, at - back, chance)
            key, value = name.encode(), encode(fact)
            sent.append((partition, key, fact))
        arrivals.append(Arrival(seconds(at) * pace, partition, key, value))
    end = at + random.choice((0, LIMIT_US - 1, LIMIT_US, 10 * LIMIT_US))
    if random.random() < (0.3 if backward else 0.7) or wall or stage == "segmentation":
        # The others end with a fact, and what lapses later is still to come.
        arrivals += [Arrival(seconds(end) * pace, partition, None, tick(end)) for partition in range(PARTITIONS)]
    elif backward:
        # The last is old: what it sets has passed already by the log's own time.
        for number, (partition, name) in enumerate(names, rows):
            fact = _fact(random, number, name, at - 3 * LIMIT_US, 0.5)
            arrivals.append(Arrival(seconds(at) * pace, partition, name.encode(), encode(fact)))
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
    newest = [0] * PARTITIONS
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
        kinds["log times that went back"] += fact.received_at < newest[arrival.partition]
        newest[arrival.partition] = max(newest[arrival.partition], fact.received_at)
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
