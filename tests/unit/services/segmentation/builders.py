"""A stream of facts under the in-memory driver, seen through segmentation's ports."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from services.segmentation import stream
from services.segmentation.domain.definitions import Definitions, compile_definitions
from services.segmentation.domain.readiness import Readiness, Taken
from services.segmentation.domain.state import State
from services.segmentation.domain.status import Status
from services.segmentation.ports import Extent
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact, Identity
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, SEGMENT_MEMBERSHIPS
from shared.runtime.driver import TopologyDriver, Written

PURCHASE = "commerce.purchases"
BOUGHT_THIS_WEEK = 'xEvent[eventType = "commerce.purchases" and timestamp occurs <= 7 days before now].count() > 0'


class AnySchema:
    """Accepts every path."""

    async def union(self) -> pql.Schema:
        return pql.Schema.permissive()


class Shop:
    """Implements `Applied`, `Ready`, `LiveProfiles` and `FactLog` by what the driver holds."""

    def __init__(self) -> None:
        self.segments: dict[str, SegmentDefinition] = {}
        self.running = compile_definitions((), (), pql.Schema.permissive())
        self.stage = stream.stage(self.current)
        self.driver = TopologyDriver(self.stage)
        self.reads = 0
        self.follows = 0

    def run(self, *segments: SegmentDefinition) -> None:
        """The worker takes up segments."""
        self.segments |= {segment.id: segment for segment in segments}
        self.running = compile_definitions(self.segments.values(), (), pql.Schema.permissive(), self.running)

    def event(self, id_: str, at: int, profile: str = "p", type_: str = PURCHASE, **body: Any) -> None:
        identities = (Identity("Email", f"{profile}@example.org", primary=True),)
        self.send(Fact(id_, "event", "t", profile, at, at, identities=identities, body={"eventType": type_} | body))

    def record(self, id_: str, at: int, profile: str = "p", **body: Any) -> None:
        self.send(Fact(id_, "record", "t", profile, at, at, dataset_id="crm", body=body))

    def send(self, fact: Fact) -> None:
        self.driver.send(EVENTS, fact.profile_id, fact)
        self.driver.settle()

    def tick(self, at: int) -> None:
        """Log time reaches `at` in every partition."""
        for partition in range(EVENTS.partitions):
            self.driver.send(EVENTS, None, Fact(f"tick{at}", "tick", "t", "", at, at), partition=partition)
        self.driver.settle()

    def members(self, segment_id: str) -> set[str]:
        """Who is in a segment according to the newest published memberships."""
        newest = {written.key: written.value.memberships for written in self.driver.read(SEGMENT_MEMBERSHIPS)}
        return {str(profile) for profile, memberships in newest.items() if segment_id in memberships}

    def current(self) -> Definitions:
        return self.running

    def under(self, plan: int) -> Definitions:
        return self.running

    async def readiness(self) -> Readiness:
        """As if there were one partition, which has taken up everything."""
        return Readiness([Taken(Status("now"), self.running.versions, {})], 0)

    async def get(self, profile_id: str) -> State | None:
        state: State | None = self.driver.state(self.stage, profile_id)
        return state

    async def extents(self) -> Sequence[Extent]:
        written = self._written()
        return [Extent(p, 0, sum(w.partition == p for w in written)) for p in range(EVENTS.partitions)]

    async def read(self, extents: Sequence[Extent]) -> AsyncGenerator[Sequence[Fact], None]:
        wanted = {extent.partition for extent in extents}
        for written in self._written():
            if written.partition in wanted:
                self.reads += 1
                yield [written.value]

    async def follow(
        self, partition: int, start: int, wants: Callable[[str], bool]
    ) -> AsyncGenerator[tuple[Sequence[tuple[int, Fact]], int, int], None]:
        self.follows += 1
        rows = [(w.offset, w.value) for w in self._written() if w.partition == partition and w.offset >= start]
        yield [row for row in rows if wants(row[1].profile_id)], start + len(rows), start

    async def newest_of(self, profile_id: str, rows_max: int) -> AsyncGenerator[Sequence[Fact], None]:
        partition = partition_of(profile_id, EVENTS.partitions)
        rows = [written for written in self._written() if written.partition == partition]
        for written in reversed(rows[-rows_max:] if rows_max else []):
            if written.key == profile_id:
                yield [written.value]

    def _written(self) -> Sequence[Written]:
        return self.driver.read(EVENTS)


class Tasks:
    """Implements `Background` without a limit of its own; `ended` waits for what was started."""

    def __init__(self) -> None:
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start_job(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await work()

        self.tasks[name] = asyncio.create_task(run())

    async def cancel(self, name: str) -> None:
        if name in self.tasks:
            self.tasks[name].cancel()
            await asyncio.wait({self.tasks[name]})

    async def ended(self) -> None:
        await asyncio.wait(self.tasks.values())
