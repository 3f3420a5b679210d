"""Work that the service does beside the stream: the backfill, and a few previews at once."""

import asyncio
from collections.abc import Awaitable, Callable

from mode import Service

from services.segmentation.handlers.backfill import Backfill
from services.segmentation.metrics import SegmentationMetrics
from shared.kernel.errors import Retryable
from shared.runtime.logging import get_logger

_RETRY_S = 1.0


class PreviewJobs(Service):
    """Implements `Background`. A job that fails is logged and harms nothing else."""

    def __init__(self, running_max: int, metrics: SegmentationMetrics) -> None:
        super().__init__()
        self._running_max = running_max
        self._metrics = metrics
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._log = get_logger("jobs")

    def start_job(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        if len(self._jobs) >= self._running_max:
            raise Retryable(f"{len(self._jobs)} previews are running, the most at once; wait for one or DELETE one")
        task = asyncio.create_task(_run(work), name=f"preview-{name}")
        self._jobs[name] = task
        # A callback, not a `finally`: a task that is cancelled before it began never enters its body.
        task.add_done_callback(lambda task: self._note_end(name, task))
        self._metrics.previews_running.set(len(self._jobs))

    async def cancel(self, name: str) -> None:
        task = self._jobs.get(name)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def on_stop(self) -> None:
        for name in list(self._jobs):
            await self.cancel(name)

    def _note_end(self, name: str, task: "asyncio.Task[None]") -> None:
        del self._jobs[name]
        self._metrics.previews_running.set(len(self._jobs))
        if task.cancelled():
            outcome = "cancelled"
        elif (error := task.exception()) is not None:  # a job is a door: nobody above it could answer
            outcome = "failed"
            self._log.error("preview_failed", preview=name, exc_info=error)
        else:
            outcome = "done"
        self._metrics.previews.labels(outcome).inc()


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()


class BackfillJob(Service):
    """Runs the backfill beside the stream, for as long as the process lives."""

    def __init__(self, backfill: Backfill) -> None:
        super().__init__()
        self._backfill = backfill
        self._log = get_logger("backfill")

    @Service.task
    async def _work(self) -> None:
        while not self.should_stop:
            try:
                await self._backfill.work_on()
            except Retryable as error:
                self._log.warning("backfill_waits", error=str(error))
                await self.sleep(_RETRY_S)
