"""Starts the check of an uploaded model in a process that is thrown away afterwards.

A hostile file may make a parser or the runtime allocate, loop or crash; only the child suffers, within its limits.
"""

import asyncio
import os
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

import services
from services.model_registry.adapters import inspector
from shared.contracts.models import ModelManifest
from shared.kernel.errors import Reason, Rejected

_ROOT = Path(services.__file__).parent.parent
_ANSWER_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class ProcessInspector:
    """Implements the port `Inspector` by `python -m services.model_registry.adapters.inspector`."""

    memory_mb_max: int
    seconds_max: float
    allow_control_flow: bool = False
    concurrency: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    async def inspect(self, raw: bytes, manifest: ModelManifest) -> None:
        expectation = inspector.Expectation(
            input_name=manifest.input_name,
            output_name=manifest.output_name,
            features=len(manifest.features),
            defaults=manifest.defaults,
            allow_control_flow=self.allow_control_flow,
            memory_bytes_max=self.memory_mb_max << 20,
            cpu_s_max=max(1, round(self.seconds_max)),
        )
        async with self.concurrency:
            code, answer = await self._run(raw, msgspec.json.encode(asdict(expectation)))
        self._judge(code, answer)

    async def _run(self, raw: bytes, expectation: bytes) -> tuple[int, bytes]:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            inspector.__name__,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=_ROOT,
            env={"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        message = len(expectation).to_bytes(4, "big") + expectation + raw
        try:
            async with asyncio.timeout(self.seconds_max):
                answer, _ = await child.communicate(message)
        except TimeoutError:
            raise Rejected(
                f"the model was not checked within {self.seconds_max:g} s; simplify it or raise check_s_max",
                Reason.MODEL,
            ) from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return child.returncode or 0, answer

    def _judge(self, code: int, answer: bytes) -> None:
        try:
            verdict = msgspec.json.decode(answer[:_ANSWER_BYTES_MAX], type=inspector.Verdict)
        except msgspec.DecodeError:
            why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise Rejected(
                f"the check of the model died ({why}): it needs more than {self.memory_mb_max} MiB, "
                f"more than {self.seconds_max:g} s of CPU, or crashes the runtime",
                Reason.MODEL,
            ) from None
        if not verdict.accepted:
            raise Rejected(verdict.reason, Reason.MODEL)
