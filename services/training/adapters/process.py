"""Runs in processes of their own: limited in time, memory and priority, output captured, ended as a group."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import services
from services.training.adapters.run_files import PROOF_VARIABLE, RunFiles, RunSpec
from services.training.domain import Run, RunResult, RunState
from shared.adapters.kafka_access import KafkaAccess

_ROOT = Path(services.__file__).parent.parent
_PROGRAM = "services.training.recipes.run"
_TERM_LIMIT_S = 3.0


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a run may use: wall time in seconds, address space in bytes; niceness is added to the service's own."""

    seconds_max: float
    memory_bytes_max: int
    niceness: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run finds what it needs."""

    kafka: KafkaAccess
    topic_prefix: str
    registry_url: str
    segmentation_url: str


class ProcessTrainer:
    """Implements the port `Trainer` by `python -m services.training.recipes.run`, one process at a time."""

    def __init__(self, folder: Path, places: Places, limits: RunLimits) -> None:
        self._folder = folder.absolute()
        self._places = places
        self._limits = limits
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._cancelled: set[str] = set()

    def files(self, run_id: str) -> RunFiles:
        return RunFiles(self._folder / "runs" / run_id)

    async def execute(self, run: Run) -> RunResult:
        files = self.files(run.id)
        try:
            files.begin(self._spec(run))
            with files.log.open("ab") as log:
                child = await self._start(files, log, self._places.kafka.sasl_password)
        except OSError as error:
            return RunResult(RunState.RETRY, f"the run's process could not be started: {error}")
        self._children[run.id] = child
        if run.id in self._cancelled:
            self.cancel(run.id)
        try:
            return await self._outcome(run.id, child, files)
        finally:
            # Also on the service's own stop: nothing that it started may outlive it.
            await _end(child)
            del self._children[run.id]
            self._cancelled.discard(run.id)

    def _spec(self, run: Run) -> RunSpec:
        return RunSpec(
            run_id=run.id,
            recipe=run.recipe,
            model=run.model,
            parameters=run.parameters,
            promote=run.promote,
            kafka=self._places.kafka.portable(),
            topic_prefix=self._places.topic_prefix,
            registry_url=self._places.registry_url,
            segmentation_url=self._places.segmentation_url,
            memory_bytes_max=self._limits.memory_bytes_max,
            niceness=self._limits.niceness,
        )

    @staticmethod
    async def _start(files: RunFiles, log: IO[bytes], sasl_password: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _PROGRAM,
            str(files.folder),
            # The run watches this pipe and ends when it closes, even when the service was killed.
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=_ROOT,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                PROOF_VARIABLE: sasl_password,
            },
            start_new_session=True,
        )

    async def _outcome(self, run_id: str, child: asyncio.subprocess.Process, files: RunFiles) -> RunResult:
        try:
            async with asyncio.timeout(self._limits.seconds_max):
                code = await child.wait()
        except TimeoutError:
            return RunResult(RunState.FAILED, f"the run took longer than {self._limits.seconds_max:g} s and was ended")
        if run_id in self._cancelled:
            return RunResult(RunState.ABORTED, "aborted while it ran")
        outcome = files.read_outcome()
        if outcome is None:
            how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            return RunResult(RunState.FAILED, f"the run's process ended {how} without a result; its log says more")
        return RunResult(RunState(outcome.state), outcome.message, outcome.metrics, outcome.model_version)

    def cancel(self, run_id: str) -> bool:
        self._cancelled.add(run_id)  # remembered also for a run that is claimed but not started yet
        child = self._children.get(run_id)
        if child is None:
            return False
        _signal(child, signal.SIGTERM)
        asyncio.get_running_loop().call_later(_TERM_LIMIT_S, _signal, child, signal.SIGKILL)
        return True

    def log_tail(self, run_id: str, characters_max: int) -> str:
        return self.files(run_id).log_tail(characters_max)


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)


async def _end(child: asyncio.subprocess.Process) -> None:
    _signal(child, signal.SIGKILL)
    await child.wait()
