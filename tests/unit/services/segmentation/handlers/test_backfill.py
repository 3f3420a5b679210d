"""The backfill beside the stream: takes up definitions, reads the log for the passages, lists profiles."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from services.segmentation import stream
from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.generations import Generation, decode_generation, generation_of
from services.segmentation.domain.status import LEFT, RUNNING, STATUS, TARGET, Status
from services.segmentation.handlers.backfill import Backfill, Limits
from services.segmentation.handlers.pace import Pace
from services.segmentation.ports import Noted
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS
from shared.kernel.clock import HOUR, ManualClock
from shared.runtime.driver import TopologyDriver
from tests.unit.services.segmentation.builders import Shop


@dataclass
class Process:
    """A worker of all partitions on the in-memory driver. Implements `Newest` and `Notes` by what the driver holds."""

    shop: Shop = field(default_factory=Shop)
    revision: int = 0
    defined: dict[str, SegmentDefinition] = field(default_factory=dict)
    statuses_seen: list[Status] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = Limits(1_000_000, 1_000, 8)
        self.backfill = Backfill(self, self, self.shop, ManualClock(5), limits, self._note)
        self.stage = stream.backfilled_stage(self.backfill)
        self.shop.driver = self.driver = TopologyDriver(self.stage)

    def _note(self, statuses: list[Status]) -> None:
        self.statuses_seen = statuses

    def generation(self) -> Generation:
        return generation_of(self.defined.values(), ())

    def generation_of(self, encoded: bytes, previous: Definitions | None = None) -> Generation:
        return decode_generation(encoded, previous)

    async def noted(self, partition: int) -> Noted | None:
        names = (STATUS, RUNNING, TARGET, LEFT)
        status, running, target, left = (self.driver.view(self.stage, partition, name) for name in names)
        if status is None or running is None:
            return None
        return Noted(msgspec.json.decode(status, type=Status), running, target, left)

    async def statuses(self) -> Sequence[Status | None]:
        return [noted.status if (noted := await self.noted(p)) else None for p in range(EVENTS.partitions)]

    async def profiles(self, partition: int) -> AsyncGenerator[Sequence[str], None]:
        yield sorted(self.driver._kept[self.stage.name, partition].states)

    async def claim(self) -> None:
        for partition in range(EVENTS.partitions):
            position = self.driver._kept[self.stage.name, partition].offset
            await self.backfill.claimed(partition, position)
        self.driver.settle()

    def define(self, id_: str, expression: str, version: int = 1, deleted: bool = False) -> None:
        self.defined[id_] = SegmentDefinition(id_, id_, expression, version, deleted=deleted)
        self.revision += 1

    async def until_settled(self) -> None:
        """Lets the backfill work, and the driver run, until every partition has taken up what is defined."""
        working = asyncio.create_task(self._work())
        try:
            async with asyncio.timeout(20):
                while not await self._is_settled():
                    self.driver.settle()
                    await asyncio.sleep(0.002)
        finally:
            working.cancel()
            await asyncio.wait({working})

    async def _work(self) -> None:
        while True:
            await self.backfill.work_on()

    async def _is_settled(self) -> bool:
        wanted = self.generation().id
        return all(status and status.running == wanted for status in await self.statuses())

    def event(self, number: int, who: str) -> None:
        self.driver.send(EVENTS, who, Fact(f"e{number}", "event", "t", who, number * HOUR, number * HOUR))
        self.driver.settle()


@pytest.fixture
async def process() -> Process:
    made = Process()
    await made.claim()
    return made


async def test_definitions_published_before_any_event_are_taken_up_at_once(process: Process) -> None:
    process.define("a", "xEvent.count() >= 2")

    await process.until_settled()

    assert {"settled"} == {status.phase for status in await process.statuses() if status}


async def test_silent_people_of_all_partitions_are_in_when_it_is_ready(process: Process) -> None:
    for number in range(60):
        process.event(number, f"p{number % 20}")

    process.define("a", "xEvent.count() >= 3")
    await process.until_settled()

    assert {f"p{i}" for i in range(20)} == process.shop.members("a")


async def test_what_needs_no_history_reads_no_log(process: Process) -> None:
    process.define("a", "xEvent.count() >= 1")
    await process.until_settled()
    process.event(1, "ann")
    read = process.shop.follows
    process.define("b", 'not inSegment("a")')
    process.define("a", "xEvent.count() >= 1", version=2, deleted=True)

    await process.until_settled()

    assert {"ann"} == process.shop.members("b")
    assert set() == process.shop.members("a")
    assert read == process.shop.follows


async def test_a_process_that_starts_again_goes_on_under_the_definitions_it_had(process: Process) -> None:
    process.define("a", "xEvent.count() >= 2")
    await process.until_settled()
    process.event(1, "ann")
    process.define("a", "xEvent.count() >= 3", version=2)
    again = Backfill(process, process, process.shop, ManualClock(5), Limits(1_000, 1_000, 8), lambda _: None)

    await again.claimed(0, 0)

    running = again.of(0).running.definitions.versions
    assert ({"a": 1}, {"a": 2}) == (running, process.generation().definitions.versions)
    assert again.of(0).busy


async def test_a_process_that_starts_again_knows_what_was_given_up_on_the_way(process: Process) -> None:
    process.event(1, "ann")
    partition = next(p for p in range(EVENTS.partitions) if process.driver._kept[process.stage.name, p].offset >= 0)
    process.define("a", "xEvent.count() >= 2")
    for deleted in (False, True):
        process.define("a", "xEvent.count() >= 2", version=1 + deleted, deleted=deleted)
        for _ in range(2):  # definitions are taken up once none has come for a round
            await process.backfill._take_up()
        process.driver.settle()
    again = Backfill(process, process, process.shop, ManualClock(5), Limits(1_000, 1_000, 8), lambda _: None)

    await again.claimed(partition, 0)

    way = again.of(partition).way
    assert [{"a": 1}] == [left.definitions.versions for left in way.left]
    assert {} == way.end.definitions.versions


async def test_a_pace_overdraws_once_and_waits_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("services.segmentation.handlers.pace.time.monotonic", lambda: now[0])
    pace = Pace(1_000)
    now[0] += 1.0

    taken = [pace.take(150), pace.take(1)]
    now[0] += 0.14
    later = pace.take(1)

    assert [True, False] == taken
    assert later
