"""The two measurements: how fast `inbound` becomes `profile-updates`, and how soon an event becomes a membership."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from deploy.demo.pipeline import NOTHING, Look, Pipeline, Quiet
from deploy.demo.reader import MembershipReader
from deploy.demo.sender import Sender
from deploy.local.settings import LocalSettings
from shared.cli.sources.source import SourceEvent
from shared.contracts.topics import PROFILE_UPDATES, SEGMENT_MEMBERSHIPS
from tests.bench.machine import per_event, usage
from tests.support.waiting import eventually

GROUPS = frozenset({"ingestion", "segmentation", "profile_store"})
_LIMIT_S = 600.0
_SLICE_S = 0.005
_UNLIMITED = 10_000


@dataclass
class Bench:
    """A running system, and messages that are sent part by part in their order of time."""

    settings: LocalSettings
    messages: Iterator[SourceEvent]
    sender: Sender = field(init=False)
    pipeline: Pipeline = field(init=False)
    last: Look = NOTHING

    def __post_init__(self) -> None:
        self.sender = Sender(self.settings.kafka_bootstrap_servers)
        self.pipeline = Pipeline(self.settings.kafka_bootstrap_servers)

    @contextlib.asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        await self.sender.start()
        await self.pipeline.start()
        try:
            yield
        finally:
            await self.sender.stop()
            await self.pipeline.stop()

    async def warm_up(self, messages: int) -> None:
        """Sends some messages first: caches, connections and compiled conditions are not what is measured."""
        await self._send(messages)
        await self._rest()

    async def throughput(self, messages: int) -> dict[str, Any]:
        """Sends `messages` as fast as Kafka takes them and waits for as many profile updates."""
        before, load = usage(self.settings), round(os.getloadavg()[0], 1)
        wanted = self.last.ends[PROFILE_UPDATES.name] + messages
        started = time.monotonic()
        await self._send(messages)
        sent_s = time.monotonic() - started
        seconds = await self._until(lambda look: look.ends[PROFILE_UPDATES.name] >= wanted, "all updates") - started
        await self._rest()
        return {
            "messages": messages,
            "load_average_before": load,
            "seconds": round(seconds, 2),
            "events_per_second": round(messages / seconds),
            "sending_took_seconds": round(sent_s, 2),
            "profile_store_done_after_seconds": round(time.monotonic() - started - Quiet(GROUPS).stable_s, 2),
            "cpu_us_per_event": per_event(before, usage(self.settings), messages),
        }

    async def latency(self, rate: int, seconds: float) -> dict[str, Any]:
        """Sends at a steady rate and reads memberships as a consumer: from produced to read, in ms."""
        reader, load = MembershipReader(self.settings.kafka_bootstrap_servers), round(os.getloadavg()[0], 1)
        following = asyncio.create_task(reader.follow())
        try:
            await self._caught_up(reader)
            reader.latency = type(reader.latency)()
            before, started, sent = usage(self.settings), time.monotonic(), 0
            while (elapsed := time.monotonic() - started) < seconds:
                count = int(rate * elapsed) - sent
                await self._send(count)
                sent += count
                await asyncio.sleep(_SLICE_S)
            took_s = time.monotonic() - started
            used = per_event(before, usage(self.settings), max(1, sent))
            await self._rest()
            await self._caught_up(reader)
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
        figures = {
            "messages_per_second": rate,
            "reached_per_second": round(sent / took_s),
            "load_average_before": load,
            "messages": sent,
            "memberships": reader.latency.count,
        }
        return {**figures, **reader.latency.summary(), "cpu_us_per_event": used}

    async def _send(self, count: int) -> None:
        async def room() -> int:
            return _UNLIMITED

        await self.sender.send(islice(self.messages, count), room, lambda _: None)

    async def _rest(self) -> None:
        await self._until(Quiet(GROUPS).note, "the pipeline at rest")

    async def _caught_up(self, reader: MembershipReader) -> None:
        await self._until(lambda look: reader.records >= look.ends[SEGMENT_MEMBERSHIPS.name], "all memberships read")

    async def _until(self, holds: Callable[[Look], bool], what: str) -> float:
        """Looks until the condition holds; returns when that was (monotonic s)."""

        async def look() -> float:
            found = await self.pipeline.look()
            self.last = found or self.last
            return found.at_s if found is not None and holds(found) else 0.0

        return await eventually(look, what, _LIMIT_S)
