"""Runs and schedules in SQL."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from services.training.domain import Run, RunResult, RunState, Schedule
from shared.adapters.sql import Database, as_struct
from shared.kernel.errors import Reason, Rejected

METADATA = MetaData()

RUNS = Table(
    "runs",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("recipe", String(63), nullable=False),
    Column("model", String(63), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("trigger", String(20), nullable=False),
    Column("promote", Boolean, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("state", String(10), nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("model_version", Integer, nullable=False),
)
SCHEDULES = Table(
    "schedules",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("cron", String(200), nullable=False),
    Column("recipe", String(63), nullable=False),
    Column("model", String(63), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("promote", Boolean, nullable=False),
    Column("last_slot", BigInteger, nullable=False),
)

_WAITING = (RunState.PENDING, RunState.RETRY)


class SqlRuns:
    """Implements the port `Runs`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, run: Run) -> bool:
        values = asdict(run) | {"parameters": json.dumps(run.parameters), "metrics": json.dumps(run.metrics)}
        try:
            async with self._database.begin() as connection:
                await connection.execute(insert(RUNS).values(values))
        except IntegrityError:
            return False
        return True

    async def get(self, run_id: str) -> Run:
        rows = await self._database.rows(select(RUNS).where(RUNS.c.id == run_id))
        if not rows:
            raise Rejected(f"there is no run {run_id[:80]!r}; GET /runs lists them", Reason.NOT_FOUND)
        return _run(rows[0])

    async def newest(self, limit: int) -> Sequence[Run]:
        query = select(RUNS).order_by(RUNS.c.number.desc()).limit(limit)
        return [_run(row) for row in await self._database.rows(query)]

    async def claim_next(self, now: int) -> Run | None:
        query = select(RUNS).where(RUNS.c.state.in_(_WAITING)).order_by(RUNS.c.number).limit(1)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            claim = update(RUNS).where(RUNS.c.id == row.id, RUNS.c.state == row.state)
            changed = await connection.execute(
                claim.values(state=RunState.RUNNING, attempts=row.attempts + 1, started_at=now, message="")
            )
            if changed.rowcount != 1:
                return None  # cancelled, or claimed by another worker, between the two statements
        return await self.get(row.id)

    async def finish(self, run_id: str, result: RunResult, now: int) -> None:
        values = {
            "state": result.state,
            "message": result.message,
            "metrics": json.dumps(result.metrics),
            "model_version": result.model_version,
            "ended_at": 0 if result.state is RunState.RETRY else now,
        }
        async with self._database.begin() as connection:
            await connection.execute(
                update(RUNS).where(RUNS.c.id == run_id, RUNS.c.state == RunState.RUNNING).values(values)
            )

    async def abort_waiting(self, run_id: str, now: int) -> bool:
        waiting = update(RUNS).where(RUNS.c.id == run_id, RUNS.c.state.in_(_WAITING))
        async with self._database.begin() as connection:
            changed = await connection.execute(
                waiting.values(state=RunState.ABORTED, ended_at=now, message="aborted before it began")
            )
        return changed.rowcount == 1

    async def take_back_running(self) -> int:
        running = update(RUNS).where(RUNS.c.state == RunState.RUNNING)
        async with self._database.begin() as connection:
            changed = await connection.execute(
                running.values(state=RunState.RETRY, message="interrupted by a restart of the training service")
            )
        return changed.rowcount


class SqlSchedules:
    """Implements the port `Schedules`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, schedule: Schedule) -> None:
        values = asdict(schedule) | {"parameters": json.dumps(schedule.parameters)}
        async with self._database.begin() as connection:
            await connection.execute(delete(SCHEDULES).where(SCHEDULES.c.id == schedule.id))
            await connection.execute(insert(SCHEDULES).values(values))

    async def all(self) -> Sequence[Schedule]:
        return [_schedule(row) for row in await self._database.rows(select(SCHEDULES).order_by(SCHEDULES.c.id))]

    async def delete(self, schedule_id: str) -> bool:
        async with self._database.begin() as connection:
            return (await connection.execute(delete(SCHEDULES).where(SCHEDULES.c.id == schedule_id))).rowcount == 1

    async def mark(self, schedule_id: str, slot: int) -> None:
        async with self._database.begin() as connection:
            await connection.execute(update(SCHEDULES).where(SCHEDULES.c.id == schedule_id).values(last_slot=slot))


def _run(row: Any) -> Run:
    parameters, metrics = json.loads(row.parameters), json.loads(row.metrics)
    return as_struct(Run, row, parameters=parameters, state=RunState(row.state), metrics=metrics)


def _schedule(row: Any) -> Schedule:
    return as_struct(Schedule, row, parameters=json.loads(row.parameters))
