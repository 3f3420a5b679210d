"""Brings the partitions of this process over to new definitions, one after the other, beside the stream."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from services.segmentation.domain.bounds import Bounds
from services.segmentation.domain.generations import split_generations
from services.segmentation.domain.passage import Passage
from services.segmentation.domain.replay import Replay
from services.segmentation.domain.status import Status
from services.segmentation.domain.way import Way
from services.segmentation.handlers.pace import Pace
from services.segmentation.ports import FactLog, Newest, Noted, Notes
from shared.kernel.clock import Clock, Micros
from shared.runtime.stage import Turn

_ROUND_S = 0.1
_ROWS_AT_ONCE = 40
"""Rows applied without a pause, a millisecond or two."""
_KEYS_WAITING_MAX = 5_000
_SKIPPED_PER_ROW = 8
"""Records passed over that count as one row of the rate limit: they are fetched, but not decoded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`profiles_max`: held in one slice; `turn_keys`: brought over between two micro-batches."""

    rows_per_s_max: int
    profiles_max: int
    turn_keys: int


class Backfill:
    """Guarantee: what `Passage` says. Implements `Passages`, which the stage asks, and reads the log for it.

    Several changes of definitions that come close together share one passage; what comes during one waits for the
    next. `note` hears of the statuses of this process's partitions after each round.
    """

    def __init__(
        self,
        newest: Newest,
        notes: Notes,
        log: FactLog,
        clock: Clock,
        limits: Limits,
        note: Callable[[list[Status]], None],
    ) -> None:
        self._newest = newest
        self._notes = notes
        self._log = log
        self._limits = limits
        self._note = note
        self._pace = Pace(limits.rows_per_s_max)
        self._bounds = Bounds(limits.profiles_max, limits.turn_keys, self._pace.take, clock.now)
        self._passages: dict[int, Passage] = {}
        self._revision = -1
        self._looked_at = 0.0

    # What the stage and the runtime ask.

    def of(self, partition: int) -> Passage:
        return self._passages[partition]

    async def claimed(self, partition: int, position: int) -> None:
        noted = await self._notes.noted(partition)
        if noted is None:
            # Nothing has been decided yet, or by a release that took no notes: what holds now counts as its own.
            self._passages[partition] = Passage(Way(self._newest.generation()), self._bounds, None)
            return
        passage = Passage(way_noted(self._newest, noted), self._bounds, noted.status)
        passage.want(self._newest.generation())
        self._passages[partition] = passage

    def released(self, partition: int) -> None:
        self._passages.pop(partition, None)

    def is_busy(self, partition: int) -> bool:
        passage = self._passages.get(partition)
        return passage is not None and passage.wants_turn

    def next_turn(self, partition: int, position: int, now: Micros) -> Turn | None:
        return self._passages[partition].next_turn(position, now)

    # What goes on beside.

    async def work_on(self) -> None:
        """Does one round: takes up new definitions, and reads what the passages need. Raises Retryable."""
        await self._take_up()
        for partition, passage in sorted(self._passages.items()):
            if passage.needs_rows and passage.replay is not None:
                await self._read(partition, passage, passage.replay)
                await self._slice_ended(partition, passage, passage.replay)
            if passage.needs_keys:
                await self._list(partition, passage)
        self._note([passage.status for passage in self._passages.values()])
        await asyncio.sleep(_ROUND_S)

    async def _keep_up(self) -> None:
        """Takes up new definitions also within a round, which may last for hours: a mistake is given up soon."""
        if time.monotonic() - self._looked_at >= _ROUND_S:
            await self._take_up()

    async def _take_up(self) -> None:
        """Hands new definitions to all passages, once none has come for a round."""
        self._looked_at = time.monotonic()
        revision, seen = self._newest.revision, self._revision
        self._revision = revision
        fresh = revision == seen
        wanted = self._newest.generation() if fresh else None
        late = [
            passage
            for passage in self._passages.values()
            if passage.needs_location or (wanted is not None and passage.lacks(wanted))
        ]
        if not late:
            return
        extents = {extent.partition: extent for extent in await self._log.extents()}
        for partition, passage in self._passages.items():
            extent = extents[partition]
            passage.locate(extent.start, extent.end)
            if wanted is not None:
                passage.want(wanted)

    async def _read(self, partition: int, passage: Passage, replay: Replay) -> None:
        """Reads the log into a replay until that is in step with the partition."""
        position = passage.position
        read_to = replay.read_to
        async with aclosing(self._log.follow(partition, read_to, replay.wants)) as batches:
            async for rows, next_, first in batches:
                replay.begin(first)
                replay.add(rows, next_)
                await self._pace.spend((next_ - max(first, read_to)) // _SKIPPED_PER_ROW)
                read_to = next_
                await self._keep_up()
                while replay.waiting and self._is_wanted(partition, passage, replay):
                    applied = replay.advance(passage.position, _ROWS_AT_ONCE)
                    await self._pace.spend(applied)
                    await self._keep_up()
                    if not applied:  # the rest lies ahead of what the partition has decided
                        break
                # The log grows meanwhile: what it grows by must not keep a slow reader from ever catching up.
                self._pace.grant(2 * (passage.position - position))
                position = passage.position
                if not self._is_wanted(partition, passage, replay):
                    return

    async def _slice_ended(self, partition: int, passage: Passage, replay: Replay | None) -> None:
        """Waits until a slice has come over: one at a time is held in memory."""
        while replay is not None and passage.replay is replay and self._passages.get(partition) is passage:
            await asyncio.sleep(_ROUND_S / 10)
            await self._keep_up()

    def _is_wanted(self, partition: int, passage: Passage, replay: Replay) -> bool:
        return self._passages.get(partition) is passage and passage.replay is replay and not replay.in_step

    async def _list(self, partition: int, passage: Passage) -> None:
        """Lists the partition's profiles for the sweep."""
        target = passage.target

        def is_wanted() -> bool:
            # A target that is given up meanwhile begins a sweep of its own, from the first profile.
            return self._passages.get(partition) is passage and passage.target is target

        async with aclosing(self._notes.profiles(partition)) as found:
            async for keys in found:
                while passage.find(()) > _KEYS_WAITING_MAX and is_wanted():
                    await asyncio.sleep(_ROUND_S)
                    await self._keep_up()
                if not is_wanted():
                    return
                passage.find(keys)
        passage.swept = is_wanted()


def way_noted(newest: Newest, noted: Noted) -> Way:
    """Returns where a partition's profiles are and go, out of what was noted durably."""
    running = newest.generation_of(noted.running)
    if not noted.status.target or noted.target is None:
        return Way(running)
    target = newest.generation_of(noted.target, running.definitions)
    left = split_generations(noted.left) if noted.left and noted.status.left else ()
    return Way(running, target, tuple(newest.generation_of(encoded, running.definitions) for encoded in left))
