"""An event loop without sockets: virtual time, and a seeded choice of which ready callback runs next.

Every callback is one *step*. Between two steps anything may happen to a process: it may die (its callbacks are
dropped, nothing of it runs again, no `finally` block either) or be paused (its callbacks wait). A process is told by
the context its callbacks run in; callbacks without one belong to the world: network, broker, Redis.
"""

import asyncio
import contextvars
from asyncio import events
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from random import Random
from typing import Any

_REST_S = 0.02


class Life:
    """One life of a process, from its start to its death. `held`: what waits for a paused one to go on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.paused = False
        self.held: list[Handle] = []


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("simulated_life", default=None)
WORLD = contextvars.Context()
"""The context of everything that outlives processes."""


class Handle:
    """A callback on its way; has the part of asyncio's handles that asyncio itself uses."""

    __slots__ = ("args", "callback", "context", "gone", "moment")

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context, moment: float
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.moment = moment
        self.gone = False

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self.moment


class SimLoop:
    """The part of an event loop that tasks, futures, queues and time-outs use. Runs one schedule.

    `before_step` is called with the number of each step before it is taken.
    """

    def __init__(self, random: Random, before_step: Callable[[int], None]) -> None:
        self._random = random.random
        self._loop: Any = self  # asyncio's signatures ask for a whole loop
        self._before_step = before_step
        self._ready: list[Handle] = []
        self._timers: list[tuple[float, int, Handle]] = []
        self._numbers = 0
        self._now = 0.0
        self._tasks: list[asyncio.Task[Any]] = []
        self.steps = 0

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Any:
        handle = Handle(callback, args, contextvars.copy_context() if context is None else context, self._now)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Any:
        handle = Handle(callback, args, contextvars.copy_context() if context is None else context, when)
        self._numbers += 1
        heappush(self._timers, (when, self._numbers, handle))
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._loop)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self._loop, name=name, context=context)
        self._tasks.append(task)
        return task

    def spawn(self, life: Life, coro: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Starts a task that belongs to a process, as does all that it starts in turn."""
        context = contextvars.Context()
        context.run(LIFE.set, life)
        return self.create_task(coro, context=context)

    def resume(self, life: Life) -> None:
        """Lets a paused process go on with everything that came for it meanwhile."""
        life.paused = False
        self._ready += life.held
        life.held = []

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tasks of dead processes are never awaited; failures that matter are told by the process itself."""

    def run(self, over: Callable[[], bool], steps_max: int) -> bool:
        """Steps until `over()`, asked when nothing comes soon, is true; False when `steps_max` did not suffice."""
        events._set_running_loop(self._loop)
        try:
            while self.steps < steps_max:
                if not self._ready and ((self._rests() and over()) or not self._advance()):
                    return True
                self._turn()
        finally:
            events._set_running_loop(None)
        return False

    def close(self) -> None:
        """Ends what is left, without running any of it on."""
        self._ready.clear()
        self._timers.clear()
        events._set_running_loop(self._loop)
        try:
            for task in self._tasks:
                if not task.done():
                    _abandon(task)
        finally:
            events._set_running_loop(None)
        self._tasks.clear()

    def _rests(self) -> bool:
        """Tells whether nothing comes soon, which is when asking whether all is over is worth its while."""
        return not self._timers or self._timers[0][0] > self._now + _REST_S

    def _advance(self) -> bool:
        """Moves time on to the next timer; returns False when there is none."""
        timers = self._timers
        while timers:
            when, _, handle = heappop(timers)
            if not handle.gone:
                self._now = max(self._now, when)
                self._ready.append(handle)
                return True
        return False

    def _turn(self) -> None:
        ready, timers = self._ready, self._timers
        while timers and timers[0][0] <= self._now:
            ready.append(heappop(timers)[2])
        index = int(self._random() * len(ready))
        handle, ready[index] = ready[index], ready[-1]
        ready.pop()
        if handle.gone:
            return
        life = handle.context.get(LIFE)
        if life is not None and not self._may_run(life, handle):
            return
        self.steps += 1
        self._before_step(self.steps)
        if life is None or self._may_run(life, handle):
            handle.context.run(handle.callback, *handle.args)

    @staticmethod
    def _may_run(life: Life, handle: Handle) -> bool:
        if life.paused and not life.dead:
            life.held.append(handle)
        return not (life.dead or life.paused)


def _abandon(task: "asyncio.Task[Any]") -> None:
    """Closes a coroutine for good; the world it belonged to is gone, so whatever it still tries is of no account."""
    coro: Any = task.get_coro()
    for _ in range(20):
        try:
            coro.close()
        except RuntimeError:
            continue
        break
    task._log_destroy_pending = False  # type: ignore[attr-defined]
