"""One run through the started system: send, train, wait until all is decided and enriched, collect the result."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass

from rich.console import Console

from deploy.demo import display, model
from deploy.demo.definitions import ModelRecipe, SegmentFile, names
from deploy.demo.errors import DemoError
from deploy.demo.options import Options
from deploy.demo.pace import Pace
from deploy.demo.pipeline import READERS, Pipeline, Quiet
from deploy.demo.reader import MembershipReader
from deploy.demo.sender import Sender
from deploy.demo.state import RunState
from deploy.demo.summary import Result, collect
from shared.cli.sources.source import Datasets, Source, SourceEvent
from shared.contracts.topics import SEGMENT_MEMBERSHIPS
from shared.kernel.clock import DAY, Micros
from shared.sdk import Freshet

_LOOK_S = 0.2
_STALL_S = 180.0

Check = Callable[[], None]
"""Raises DemoError when a process of the system has given up."""


@dataclass(frozen=True)
class Plan:
    """What is to be run, all of it checked. `total`: events that will come, as far as known."""

    options: Options
    source: Source
    total: int
    segments: list[SegmentFile]
    recipe: ModelRecipe


async def run(
    plan: Plan, freshet: Freshet, bootstrap_servers: str, datasets: Datasets, console: Console, check: Check
) -> tuple[Result, RunState]:
    """Runs to the end. Raises DemoError when nothing moves any more although there is work left."""
    options = plan.options
    state = RunState(Sender(bootstrap_servers), MembershipReader(bootstrap_servers), plan.total)
    pipeline, pace, due = Pipeline(bootstrap_servers), Pace(), asyncio.Event()
    watcher = _Watcher(state, pipeline, pace, check)
    async with _started(pipeline), _started(state.sender):
        async with (
            _beside(watcher, state.reader.follow()),
            _beside(watcher, watcher.watch()),
            _beside(watcher, display.show(state, console)),
        ):
            training = asyncio.create_task(model.train(freshet, plan.recipe, state, due))
            try:
                await watcher.during(_send(plan, datasets, state, watcher, due))
                due.set()
                end = Micros(options.until or (state.sender.last_at // DAY + 1) * DAY)
                await watcher.during(state.sender.tick(end))
                state.phase = "waiting for the model"
                await watcher.during(training)
                state.phase = "finishing"
                await watcher.during(_at_rest(state, watcher))
            finally:
                training.cancel()
        return collect(state, names(plan.segments), end), state


async def _send(plan: Plan, datasets: Datasets, state: RunState, watcher: "_Watcher", due: asyncio.Event) -> None:
    def on_sent(count: int) -> None:
        watcher.pace.sent(count)
        if state.share_sent >= model.SHARE_SENT:
            due.set()

    chosen = bounded(plan.source.read(datasets), plan.options.until, plan.options.limit)
    await state.sender.send(chosen, watcher.room, on_sent)


def bounded(events: Iterator[SourceEvent], until: int | None, limit: int | None) -> Iterator[SourceEvent]:
    """Yields messages whose log time lies before `until`, up to the event number `limit`; records do not count."""
    count = 0
    for event in events:
        if until is not None and event.received_at >= until:
            return
        if limit is not None and event.kind == "event":
            if count == limit:
                return
            count += 1
        yield event


async def _at_rest(state: RunState, watcher: "_Watcher") -> None:
    """Returns when every stage has read all there is, nothing new comes, and this program has read all decisions."""
    has_champion = state.run is not None and state.run.state == "DONE"
    quiet = Quiet(frozenset(READERS if has_champion else READERS.keys() - {"scoring"}))
    while True:
        await watcher.next_look()
        all_read = state.reader.records >= state.look.ends[SEGMENT_MEMBERSHIPS.name]
        if quiet.note(state.look) and all_read:
            return


class _Watcher:
    """Looks at the pipeline again and again, and ends the run when it has stopped moving.

    `beside`: tasks that never end by themselves; when one does, it has failed, and so has the run.
    """

    def __init__(self, state: RunState, pipeline: Pipeline, pace: Pace, check: Check) -> None:
        self.pace = pace
        self._state = state
        self._pipeline = pipeline
        self._check = check
        self._looked = asyncio.Condition()
        self.beside: set[asyncio.Future[None]] = set()

    async def watch(self) -> None:
        moved_s, seen = self._state.elapsed_s, (0, 0)
        while True:
            await asyncio.sleep(_LOOK_S)
            look = await self._pipeline.look()
            if look is not None:
                self._state.note(look)
                self.pace.note(look)
                async with self._looked:
                    self._looked.notify_all()
            now = (sum(self._state.look.done.values()), self._state.reader.records)
            if now != seen:
                moved_s, seen = self._state.elapsed_s, now
            elif self._state.elapsed_s - moved_s > _STALL_S:
                self._check()
                if self._training:
                    moved_s = self._state.elapsed_s
                else:
                    raise self._stall()

    @property
    def _training(self) -> bool:
        return self._state.run is not None and not self._state.run.ended

    def _stall(self) -> DemoError:
        lags = ", ".join(f"{group} {self._state.look.lag(group):,}" for group in READERS)
        return DemoError(f"nothing has moved for {_STALL_S:.0f} s; records left to read: {lags}. `make logs` shows why")

    async def next_look(self) -> None:
        async with self._looked:
            await self._looked.wait()

    async def room(self) -> int:
        """Waits until the sender may go on; returns how many records it may send."""
        while not self.pace.room:
            await self.next_look()
        return self.pace.room

    async def during(self, work: Awaitable[None]) -> None:
        """Waits for `work`; raises what a task beside it has failed with."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, *self.beside}, return_when=asyncio.FIRST_COMPLETED)
            for failed in self.beside:
                if failed.done():
                    failed.result()
            await task
        finally:
            task.cancel()


@contextlib.asynccontextmanager
async def _started(service: Pipeline | Sender) -> AsyncIterator[None]:
    try:
        await service.start()
        yield
    finally:
        await service.stop()


@contextlib.asynccontextmanager
async def _beside(watcher: _Watcher, work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs `work`, which never ends by itself, beside the block."""
    task = asyncio.create_task(work)
    watcher.beside.add(task)
    try:
        yield
    finally:
        watcher.beside.discard(task)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
