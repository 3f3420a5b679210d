"""An event loop without sockets: virtual time, and a seeded choice of which ready callback runs next.

Every callback is one *step*. Between two steps anything may happen to a process: it may die (its callbacks are
dropped, nothing of it runs again, no `finally` block either) or be paused (its callbacks wait). A process is told by
the context its callbacks run in; callbacks without one belong to the world: network, broker, Redis.
"""

import asyncio
import contextvars
import inspect
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

    def hold(self, handle: "Handle") -> None:
        """Keeps a callback until the process goes on; the dead do not."""
        if not self.dead:
            self.held.append(handle)


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

    `strike` is called before the step whose number is `strike_at`; it says when it wants to be called next.
    """

    def __init__(self, random: Random, strike: Callable[[], float]) -> None:
        self._random = random.random
        self._loop: Any = self  # asyncio's signatures ask for a whole loop
        self._strike = strike
        self._ready: list[Handle] = []
        self._timers: list[tuple[float, int, Handle]] = []
        self._numbers = 0
        self._now = 0.0
        self._tasks: list[asyncio.Task[Any]] = []
        self.steps = 0
        self.strike_at: float = 0

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
        self._ready.extend(life.held)
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
        ready, timers = self._ready, self._timers
        try:
            while self.steps < steps_max:
                if not ready and ((self._rests() and over()) or not self._advance()):
                    return True
                now = self._now
                while timers and timers[0][0] <= now:
                    ready.append(heappop(timers)[2])
                index = int(self._random() * len(ready))
                handle, ready[index] = ready[index], ready[-1]
                del ready[-1]
                if not handle.gone:
                    self._take(handle)
        finally:
            events._set_running_loop(None)
        return False

    def close(self) -> None:
        """Ends what is left, without running any of it on."""
        events._set_running_loop(self._loop)
        try:
            for task in self._tasks:
                if not task.done():
                    _abandon(task)
        finally:
            events._set_running_loop(None)
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()

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

    def _take(self, handle: Handle) -> None:
        """Takes one step, unless the process it belongs to is dead or paused, be it by a fault of this very moment."""
        life = handle.context.get(LIFE)
        if life is not None and (life.dead or life.paused):
            life.hold(handle)
            return
        self.steps += 1
        if self.steps >= self.strike_at:
            self.strike_at = self._strike()
            if life is not None and (life.dead or life.paused):
                life.hold(handle)
                return
        handle.context.run(handle.callback, *handle.args)


def _abandon(task: "asyncio.Task[Any]") -> None:
    """Closes a coroutine for good; the world it belonged to is gone, so whatever it still tries is of no account."""
    coro: Any = task.get_coro()
    if inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
        # It would have awaited these, had it begun.
        for held in filter(asyncio.iscoroutine, coro.cr_frame.f_locals.values()):
            held.close()
    for _ in range(20):
        try:
            coro.close()
        except RuntimeError:
            continue
        break
    abandoned: Any = task
    abandoned._log_destroy_pending = False
    if abandoned._fut_waiter is not None:
        abandoned._fut_waiter.cancel()  # it and the task hold each other
