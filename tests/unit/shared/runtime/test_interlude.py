"""An interlude takes turns with the records of a partition."""

import asyncio
from dataclasses import dataclass, field, replace

from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS
from shared.kernel.clock import Micros
from shared.kernel.errors import Retryable
from shared.runtime.driver import TopologyDriver
from shared.runtime.interlude import admitted, pace, take_turn
from shared.runtime.stage import Batch, Due, Effects, Stage, Turn, ViewWrite


class Numbers:
    """Encodes an int."""

    def encode(self, state: int) -> bytes:
        return str(state).encode()

    def decode(self, raw: bytes) -> int:
        return int(raw)


@dataclass
class Turns:
    """Gives the turns it is told to, in partition 0. `failures`: how often a claim fails first."""

    turns: list[Turn] = field(default_factory=list)
    failures: int = 0
    claims: list[tuple[int, int]] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)

    async def claimed(self, partition: int, position: int) -> None:
        self.claims.append((partition, position))
        if len(self.claims) <= self.failures:
            raise Retryable("not yet")

    def released(self, partition: int) -> None:
        self.claims.clear()

    def is_busy(self, partition: int) -> bool:
        return partition == 0 and bool(self.turns)

    def next_turn(self, partition: int, position: int, now: Micros) -> Turn | None:
        self.places.append((position, now))
        return self.turns.pop(0)


def counting(interlude: Turns) -> Stage[Fact, int]:
    """Counts the facts of a profile; a deadline, or a turn, adds a hundred."""

    def step(batch: Batch[Fact, int]) -> Effects[int]:
        effects: Effects[int] = Effects()
        for record in batch.records:
            batch.states[record.key] = effects.states[record.key] = batch.states.get(record.key, 0) + 1
        for due in batch.due:
            effects.states[due.key] = batch.states.get(due.key, 0) + 100
        return effects

    return Stage("segmentation", EVENTS, step, (), Numbers(), interlude=interlude, log_time=lambda fact: fact.log_time)


def test_keys_of_a_turn_are_stepped_as_if_they_were_due() -> None:
    done: list[str] = []
    interlude = Turns()
    stage = counting(interlude)
    driver = TopologyDriver(stage)
    driver.send(EVENTS, "ann", Fact("e", "event", "t", "ann", 7, 7), partition=0)
    driver.settle()
    turn = Turn([Due("ann", Micros(6))], [ViewWrite("set", "how-far", b"1")], True, lambda: done.append("done"))
    interlude.turns.append(turn)

    driver.settle()

    assert {"ann": b"101"} == driver._kept[stage.name, 0].states
    assert b"1" == driver.view(stage, 0, "how-far")
    assert (["done"], [(0, 6)]) == (done, interlude.places)


async def test_a_barrier_is_durable_before_the_turn_is_done() -> None:
    order: list[str] = []

    async def process(due: object) -> None:
        order.append("stepped")

    async def write(effects: object) -> None:
        order.append("written")

    async def drained() -> None:
        order.append("durable")

    turn = Turn([Due("a", Micros(1))], [ViewWrite("set", "v", b"")], True, lambda: order.append("done"))
    await take_turn(turn, process, write, drained)

    assert ["stepped", "written", "durable", "done"] == order


async def test_nothing_is_admitted_before_the_gate_opens() -> None:
    """Deadlines fired before definitions have been read would end every membership."""
    opened: list[bool] = []
    stage = replace(counting(Turns()), gate=lambda: bool(opened))

    waiting = asyncio.create_task(admitted(stage, 3, 41))
    await asyncio.sleep(0)
    before = waiting.done()
    opened.append(True)
    await waiting

    assert not before


async def test_a_claim_that_fails_for_the_moment_is_repeated() -> None:
    interlude = Turns(failures=1)

    await admitted(counting(interlude), 3, 41)

    assert [(3, 41), (3, 41)] == interlude.claims


def test_a_partition_with_turns_is_looked_at_more_often() -> None:
    interlude = Turns()

    idle = pace(interlude, 0)
    interlude.turns.append(Turn())

    assert pace(interlude, 0) < idle <= 0.1
