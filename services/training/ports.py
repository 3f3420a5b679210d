"""What training needs from the outside."""

from collections.abc import Sequence
from typing import Protocol

from services.training.domain import Run, RunResult, Schedule
from shared.contracts.models import TrainingRequest


class Runs(Protocol):
    """All runs ever requested."""

    async def add(self, run: Run) -> bool:
        """Writes a run unless its id is known; tells whether it was new."""
        ...

    async def get(self, run_id: str) -> Run:
        """Raises Rejected (`not_found`) when there is no such run."""
        ...

    async def newest(self, limit: int) -> Sequence[Run]:
        """The newest runs, newest first."""
        ...

    async def claim_next(self, now: int) -> Run | None:
        """Turns the run waiting longest into RUNNING and returns it."""
        ...

    async def finish(self, run_id: str, result: RunResult, now: int) -> None:
        """Writes the end of a RUNNING run, or puts it back as RETRY."""
        ...

    async def abort_waiting(self, run_id: str, now: int) -> bool:
        """Turns a run that has not begun into ABORTED; tells whether it did."""
        ...

    async def take_back_running(self) -> int:
        """After a crash: turns RUNNING into RETRY; returns how many."""
        ...


class Schedules(Protocol):
    """All schedules."""

    async def put(self, schedule: Schedule) -> None: ...

    async def all(self) -> Sequence[Schedule]: ...

    async def delete(self, schedule_id: str) -> bool: ...

    async def mark(self, schedule_id: str, slot: int) -> None:
        """Notes the newest slot (µs) that a run was requested for."""
        ...


class Cron(Protocol):
    """Reads cron expressions."""

    def latest_slot(self, cron: str, now: int) -> int:
        """Returns the newest slot (µs) at or before `now`. Raises Rejected when `cron` is not five good fields."""
        ...


class Requests(Protocol):
    """The way to the topic `training-requests`."""

    async def send(self, request: TrainingRequest) -> None:
        """Returns once the request is durable. Raises Retryable when that is unknown."""
        ...


class Trainer(Protocol):
    """Executes runs, each in a process of its own."""

    async def execute(self, run: Run) -> RunResult:
        """Returns how the run ended. Raises nothing: every trouble is a result."""
        ...

    def cancel(self, run_id: str) -> bool:
        """Ends the run's process if it is the one running; tells whether it was."""
        ...

    def log_tail(self, run_id: str, characters_max: int) -> str:
        """The end of what the run has written, empty when it has not begun."""
        ...
