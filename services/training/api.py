"""Training over HTTP: recipes, runs, schedules."""

from typing import Any

from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.training.domain import RECIPES, Run, Schedule
from services.training.handlers import Training
from shared.kernel.clock import format_instant
from shared.kernel.errors import Reason, Rejected

_LOG_CHARACTERS_MAX = 16_384


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class RunRequest(_Body):
    """Which recipe is to train which model; the same `id` never runs twice."""

    recipe: str
    model: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    promote: bool = True
    id: str = ""


class ScheduleRequest(_Body):
    """A five-field cron expression in UTC and what to train at its slots."""

    cron: str
    recipe: str
    model: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    promote: bool = True


def add_routes(api: FastAPI, training: Training) -> None:
    """Adds all routes of training to `api`."""
    _add_recipes(api)
    _add_runs(api, training)
    _add_schedules(api, training)


def _add_recipes(api: FastAPI) -> None:
    @api.get("/recipes", tags=["recipes"])
    async def recipes() -> dict[str, Any]:
        """What can be trained, with every parameter, its default and its bounds."""
        return {"recipes": [render_recipe(name) for name in RECIPES]}


def _add_runs(api: FastAPI, training: Training) -> None:
    @api.post("/runs", tags=["runs"], status_code=202)
    async def request(body: RunRequest, response: Response) -> dict[str, Any]:
        """Asks for a run; 202 once the request is durable in Kafka."""
        run = await training.request(body.recipe, body.model, body.parameters, promote=body.promote, run_id=body.id)
        response.headers["Location"] = f"/runs/{run.id}"
        return render_run(run)

    @api.get("/runs", tags=["runs"])
    async def runs(limit: int = 50) -> dict[str, Any]:
        """The newest runs, newest first."""
        return {"runs": [render_run(run) for run in await training.runs.newest(max(1, min(limit, 500)))]}

    @api.get("/runs/{run_id}", tags=["runs"])
    async def run(run_id: str) -> dict[str, Any]:
        """A run's state, metrics and the end of its log."""
        found = await training.runs.get(run_id)
        return render_run(found) | {"logTail": training.trainer.log_tail(run_id, _LOG_CHARACTERS_MAX)}

    @api.delete("/runs/{run_id}", tags=["runs"], status_code=202)
    async def cancel(run_id: str) -> dict[str, Any]:
        """Aborts a run that waits or runs; 409 when it has ended."""
        return render_run(await training.cancel(run_id))


def _add_schedules(api: FastAPI, training: Training) -> None:
    @api.put("/schedules/{schedule_id}", tags=["schedules"])
    async def put(schedule_id: str, body: ScheduleRequest) -> dict[str, Any]:
        """Adds or replaces a schedule; the first run is at its next slot."""
        schedule = await training.add_schedule(
            schedule_id, body.cron, body.recipe, body.model, body.parameters, promote=body.promote
        )
        return render_schedule(schedule)

    @api.get("/schedules", tags=["schedules"])
    async def schedules() -> dict[str, Any]:
        """All schedules."""
        return {"schedules": [render_schedule(schedule) for schedule in await training.schedules.all()]}

    @api.delete("/schedules/{schedule_id}", tags=["schedules"], status_code=204)
    async def delete(schedule_id: str) -> Response:
        """Ends a schedule; a run it has asked for goes on."""
        if not await training.schedules.delete(schedule_id):
            raise Rejected(f"there is no schedule {schedule_id!r}; GET /schedules lists them", Reason.NOT_FOUND)
        return Response(status_code=204)


def render_recipe(name: str) -> dict[str, Any]:
    """A recipe as JSON."""
    recipe = RECIPES[name]
    parameters = [
        {"name": key, "type": type(p.default).__name__, "default": p.default, "doc": p.doc}
        | ({} if p.low is None else {"minimum": p.low})
        | ({} if p.high is None else {"maximum": p.high})
        | ({"choices": list(p.choices)} if p.choices else {})
        for key, p in recipe.parameters.items()
    ]
    return {"name": name, "doc": recipe.doc, "parameters": parameters}


def render_run(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    return {
        "id": run.id,
        "state": str(run.state),
        "recipe": run.recipe,
        "model": run.model,
        "parameters": run.parameters,
        "trigger": run.trigger,
        "promote": run.promote,
        "attempts": run.attempts,
        "requestedAt": format_instant(run.requested_at),
        "startedAt": format_instant(run.started_at) if run.started_at else None,
        "endedAt": format_instant(run.ended_at) if run.ended_at else None,
        "message": run.message,
        "metrics": run.metrics,
        "modelVersion": run.model_version or None,
    }


def render_schedule(schedule: Schedule) -> dict[str, Any]:
    """A schedule as JSON."""
    return {
        "id": schedule.id,
        "cron": schedule.cron,
        "recipe": schedule.recipe,
        "model": schedule.model,
        "parameters": schedule.parameters,
        "promote": schedule.promote,
        "lastSlot": format_instant(schedule.last_slot),
    }
