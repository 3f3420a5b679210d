"""What training does on its own: runs one after another, and schedules once a minute."""

import time
from collections.abc import Awaitable, Callable

import faust
from mode import Service

from services.training.domain import RunState
from services.training.handlers import Training
from services.training.metrics import Metrics
from shared.runtime.logging import get_logger

_IDLE_S = 0.5
_RETRY_S = 10.0
_EVERY_MINUTE = "* * * * *"


class Runner(Service):
    """Executes waiting runs one by one; at start, what a crash interrupted waits again."""

    def __init__(self, training: Training, metrics: Metrics) -> None:
        super().__init__()
        self._training = training
        self._metrics = metrics
        self._log = get_logger("training")

    async def on_start(self) -> None:
        if resumed := await self._training.resume():
            self._log.info("interrupted_runs_wait_again", runs=resumed)

    @Service.task
    async def _run_forever(self) -> None:
        while not self.should_stop:
            started = time.perf_counter()
            with self._metrics.running.track_inprogress():
                state = await self._training.run_next()
            if state is None:
                await self.sleep(_IDLE_S)
                continue
            self._metrics.runs.labels(state).inc()
            self._metrics.run_duration.observe(time.perf_counter() - started)
            self._log.info("run_ended", state=state)
            if state is RunState.RETRY:
                await self.sleep(_RETRY_S)


def attach(app: faust.App, fire: Callable[[], Awaitable[int]]) -> None:
    """Adds the crontab that asks, once a minute, for the runs that are due."""
    log = get_logger("training")

    @app.crontab(_EVERY_MINUTE)
    async def schedules() -> None:
        try:
            await fire()
        except Exception as error:  # the next minute tries again; the slot is not marked
            log.warning("schedules_not_fired", error=repr(error))
