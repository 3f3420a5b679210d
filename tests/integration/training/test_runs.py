"""Runs: their processes, their ends, and what survives a crash; real processes, real SQLite, no Kafka."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from services.training.adapters.cron import CroniterCron
from services.training.adapters.process import Places, ProcessTrainer, RunLimits
from services.training.adapters.runs import METADATA, SqlRuns, SqlSchedules
from services.training.app import build
from services.training.domain import Run, RunState
from services.training.handlers import Training
from services.training.settings import Settings
from shared.adapters.kafka_access import KafkaAccess
from shared.adapters.sql import Database
from shared.contracts.models import TrainingRequest
from shared.kernel.clock import DAY, HOUR, ManualClock, parse_instant
from shared.kernel.errors import Reason, Rejected
from tests.support.waiting import eventually, wait_until

NOBODY = "127.0.0.1:9"
NOON = parse_instant("2024-05-01T12:00:00Z")


@pytest.fixture
async def silence() -> AsyncIterator[str]:
    """The address of a server that accepts and never answers."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def trainer(folder: Path, segmentation: str = NOBODY, seconds_max: float = 60) -> ProcessTrainer:
    places = Places(KafkaAccess(NOBODY), "", f"http://{NOBODY}", f"http://{segmentation}")
    return ProcessTrainer(folder, places, RunLimits(seconds_max, 4 << 30, 1))


def a_run(run_id: str = "r1") -> Run:
    return Run(run_id, "propensity", "m", {}, "manual", True, requested_at=1)


@dataclass
class Sent:
    """A topic in memory."""

    requests: list[TrainingRequest] = field(default_factory=list)

    async def send(self, request: TrainingRequest) -> None:
        self.requests.append(request)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/training.db", METADATA)
    await database.start()
    yield database
    await database.stop()


def training_of(database: Database, folder: Path, clock: ManualClock | None = None) -> Training:
    return Training(
        runs=SqlRuns(database),
        schedules=SqlSchedules(database),
        cron=CroniterCron(),
        requests=Sent(),
        trainer=trainer(folder),
        clock=clock or ManualClock(NOON),
        attempts_max=2,
    )


async def test_a_run_whose_neighbour_is_down_is_to_be_tried_again_and_its_log_says_so(tmp_path: Path) -> None:
    runs = trainer(tmp_path)

    result = await runs.execute(a_run())

    assert result.state is RunState.RETRY
    assert "segmentation does not answer" in result.message
    assert "begin run=r1 recipe=propensity model=m" in runs.log_tail("r1", 10_000)


async def test_a_run_that_takes_too_long_is_ended(tmp_path: Path, silence: str) -> None:
    result = await trainer(tmp_path, silence, seconds_max=2).execute(a_run())

    assert (result.state, result.message) == (RunState.FAILED, "the run took longer than 2 s and was ended")


async def test_a_running_run_can_be_aborted(tmp_path: Path, silence: str) -> None:
    runs = trainer(tmp_path, silence)
    execution = asyncio.create_task(runs.execute(a_run()))

    async def begun() -> bool:
        return "begin" in runs.log_tail("r1", 10_000)

    await eventually(begun, "the run began")
    assert runs.cancel("r1")

    assert (await execution).state is RunState.ABORTED
    assert not runs.cancel("r1")


async def test_a_run_that_is_aborted_between_claim_and_start_does_not_go_on(tmp_path: Path, silence: str) -> None:
    runs = trainer(tmp_path, silence)

    runs.cancel("r1")

    assert (await runs.execute(a_run())).state is RunState.ABORTED


async def test_a_runs_process_ends_when_the_service_is_killed(tmp_path: Path, silence: str) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tests.integration.training.test_runs import a_run, trainer\n"
        "asyncio.run(trainer(Path(sys.argv[1]), sys.argv[2]).execute(a_run()))"
    )
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path), silence)
    try:
        children = await asyncio.to_thread(wait_until, lambda: psutil.Process(service.pid).children(), "the run began")
        await asyncio.to_thread(
            wait_until, lambda: "begin" in trainer(tmp_path).log_tail("r1", 9999), "the run watches its parent"
        )
    finally:
        service.kill()
        await service.wait()

    await asyncio.to_thread(wait_until, lambda: not any(c.is_running() for c in children), "the run ended too")


async def test_runs_take_turns_in_the_order_of_their_requests(database: Database) -> None:
    runs = SqlRuns(database)
    for run_id in ("b", "a"):
        await runs.add(a_run(run_id))

    claimed = [await runs.claim_next(now=5) for _ in range(3)]

    assert [run.id if run else None for run in claimed] == ["b", "a", None]
    assert claimed[0] is not None
    assert (claimed[0].state, claimed[0].attempts, claimed[0].started_at) == (RunState.RUNNING, 1, 5)


async def test_what_a_crash_interrupted_runs_again(database: Database, tmp_path: Path) -> None:
    training = training_of(database, tmp_path)
    await training.runs.add(a_run())
    await training.runs.claim_next(now=5)

    resumed = await training.resume()
    again = await training.runs.claim_next(now=6)

    assert resumed == 1
    assert again is not None
    assert (again.id, again.attempts) == ("r1", 2)


async def test_a_run_gives_up_after_its_attempts(database: Database, tmp_path: Path) -> None:
    training = training_of(database, tmp_path)
    await training.request("propensity", "m", {}, promote=True, run_id="r1")

    states = [await training.run_next() for _ in range(3)]

    run = await training.runs.get("r1")
    assert states == [RunState.RETRY, RunState.FAILED, None]
    assert run.state is RunState.FAILED
    assert run.message.endswith("(gave up after 2 attempts)")


async def test_a_request_is_recorded_once_however_often_it_is_read(database: Database, tmp_path: Path) -> None:
    training = training_of(database, tmp_path)
    request = TrainingRequest("r1", "propensity", "m", 1)

    assert [await training.accept(request) for _ in range(3)] == [True, False, False]


async def test_a_waiting_run_can_be_aborted_and_an_ended_one_cannot(database: Database, tmp_path: Path) -> None:
    training = training_of(database, tmp_path)
    await training.runs.add(a_run())

    aborted = await training.cancel("r1")

    assert aborted.state is RunState.ABORTED
    assert await training.run_next() is None
    with pytest.raises(Rejected, match="is ABORTED already") as caught:
        await training.cancel("r1")
    assert caught.value.reason == Reason.CONFLICT


async def test_each_slot_of_a_schedule_asks_once_and_missed_slots_count_once(
    database: Database, tmp_path: Path
) -> None:
    clock = ManualClock(NOON)
    training = training_of(database, tmp_path, clock)
    await training.add_schedule("nightly", "0 3 * * *", "propensity", "m", {"seed": 3}, promote=False)
    fired = []

    for at in (NOON, NOON + 15 * HOUR, NOON + 15 * HOUR + 1, NOON + 4 * DAY):
        clock.advance_to(at)
        fired.append(await training.fire_schedules())

    runs = await training.runs.newest(10)
    assert fired == [0, 1, 0, 1]
    assert {(run.trigger, run.model, run.promote, run.parameters["seed"]) for run in runs} == {
        ("schedule", "m", False, 3)
    }
    assert len(runs) == 2


async def test_over_http_a_request_that_kafka_does_not_take_is_not_accepted(tmp_path: Path) -> None:
    settings = Settings(
        kafka_bootstrap_servers=NOBODY,
        database_url=f"sqlite+aiosqlite:///{tmp_path}/training.db",
        data_dir=tmp_path,
    )
    process = build(settings)
    await process.components[0].start()
    body = {"id": "r1", "recipe": "propensity", "model": "m"}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(process.app), base_url="http://t") as client:
        refused = await client.post("/runs", json=body)
        unknown = await client.get("/runs/r1")
        recipes = (await client.get("/recipes")).json()["recipes"]
    await process.components[0].stop()

    assert (refused.status_code, unknown.status_code) == (503, 404)
    assert [p["name"] for p in recipes[0]["parameters"]][:3] == ["feature_set", "label_event_type", "horizon_days"]
    assert {"name": "horizon_days", "type": "float", "default": 7.0, "minimum": 0.0001, "maximum": 365}.items() <= (
        recipes[0]["parameters"][2].items()
    )
