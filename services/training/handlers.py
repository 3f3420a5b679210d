"""Training's verbs: request, accept, run one at a time, cancel, fire schedules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from services.training.domain import (
    FINAL,
    Run,
    RunResult,
    RunState,
    Schedule,
    check_request,
    check_run_id,
    slot_run_id,
)
from services.training.ports import Cron, Requests, Runs, Schedules, Trainer
from shared.contracts.models import TrainingRequest
from shared.kernel.clock import Clock
from shared.kernel.errors import Reason, Rejected


@dataclass(frozen=True, slots=True)
class Training:
    """Requests and runs. Kafka is the queue: a request that is durable there will be run, once per id."""

    runs: Runs
    schedules: Schedules
    cron: Cron
    requests: Requests
    trainer: Trainer
    clock: Clock
    attempts_max: int

    async def request(
        self,
        recipe: str,
        model: str,
        parameters: Mapping[str, Any],
        *,
        promote: bool,
        run_id: str = "",
        trigger: Literal["manual", "schedule"] = "manual",
    ) -> Run:
        """Asks for a run; returns it once the request is durable. The same id again returns the run it named."""
        check_request(recipe, model, parameters)
        request = TrainingRequest(
            id=run_id or uuid4().hex,
            recipe=recipe,
            model=model,
            requested_at=self.clock.now(),
            parameters=dict(parameters),
            trigger=trigger,
            promote=promote,
        )
        check_run_id(request.id)
        await self.requests.send(request)
        # Also written here, so that who asked can look at once; the agent's write will find it there.
        await self.accept(request)
        return await self.runs.get(request.id)

    async def accept(self, request: TrainingRequest) -> bool:
        """Records a request from the topic; repeats change nothing. One that cannot run is recorded as FAILED."""
        state, message = RunState.PENDING, ""
        try:
            check_run_id(request.id)
            check_request(request.recipe, request.model, request.parameters)
        except Rejected as error:
            state, message = RunState.FAILED, error.message
        run = Run(
            id=request.id[:64],
            recipe=request.recipe[:63],
            model=request.model[:63],
            parameters=request.parameters,
            trigger=request.trigger,
            promote=request.promote,
            requested_at=request.requested_at,
            state=state,
            message=message,
        )
        return await self.runs.add(run)

    async def run_next(self) -> RunState | None:
        """Executes the run waiting longest and returns how it ended; None when none waits."""
        run = await self.runs.claim_next(self.clock.now())
        if run is None:
            return None
        result = await self.trainer.execute(run)
        if result.state is RunState.RETRY and run.attempts >= self.attempts_max:
            words = f"{result.message} (gave up after {run.attempts} attempts)"
            result = RunResult(RunState.FAILED, words, result.metrics)
        await self.runs.finish(run.id, result, self.clock.now())
        return result.state

    async def resume(self) -> int:
        """After a crash of this service: what was running waits again; returns how many."""
        return await self.runs.take_back_running()

    async def cancel(self, run_id: str) -> Run:
        """Aborts a run that waits or runs. Raises Rejected (`conflict`) when it has ended."""
        run = await self.runs.get(run_id)
        if run.state in FINAL:
            raise Rejected(f"run {run_id} is {run.state} already and cannot be aborted", Reason.CONFLICT)
        if not await self.runs.abort_waiting(run_id, self.clock.now()):
            self.trainer.cancel(run_id)
        return await self.runs.get(run_id)

    async def add_schedule(
        self, schedule_id: str, cron: str, recipe: str, model: str, parameters: Mapping[str, Any], *, promote: bool
    ) -> Schedule:
        """Adds or replaces a schedule; its first run is at its next slot, never at once."""
        check_request(recipe, model, parameters)
        check_run_id(schedule_id)
        now = self.clock.now()
        self.cron.latest_slot(cron, now)
        schedule = Schedule(schedule_id, cron, recipe, model, dict(parameters), promote, last_slot=now)
        await self.schedules.put(schedule)
        return schedule

    async def fire_schedules(self) -> int:
        """Requests a run for each schedule whose newest slot has none yet; slots missed while down count once."""
        fired = 0
        for schedule in await self.schedules.all():
            slot = self.cron.latest_slot(schedule.cron, self.clock.now())
            if slot <= schedule.last_slot:
                continue
            await self.request(
                schedule.recipe,
                schedule.model,
                schedule.parameters,
                promote=schedule.promote,
                run_id=slot_run_id(schedule.id, schedule.model, slot),
                trigger="schedule",
            )
            await self.schedules.mark(schedule.id, slot)
            fired += 1
        return fired
