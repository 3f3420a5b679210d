"""A process whose component has crashed ends with the crash's code, whatever its other parts do."""

import asyncio

import pytest
from fastapi import FastAPI
from mode import Service

from shared.kernel.errors import ExitCode, Fatal
from shared.runtime import process
from shared.runtime.health import Health
from shared.runtime.process import Process
from shared.runtime.settings import ServiceSettings


class Crashes(Service):
    async def on_start(self) -> None:
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, self.crash(Fatal("fenced", ExitCode.FENCED)))


class StopsNever(Service):
    async def on_stop(self) -> None:
        await asyncio.Event().wait()


async def test_a_component_that_never_stops_does_not_keep_a_crashed_process_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a chaos run a feed crashed on a full disk, its stop hung, and nothing started the process again."""
    monkeypatch.setattr(process, "_STOP_LIMIT_S", 0.1)
    monkeypatch.setattr(process, "settle_memory", lambda: None)
    settings = ServiceSettings(http_port=0)
    broken = Process("test", settings, FastAPI(), Health(), (StopsNever(), Crashes()))

    async with asyncio.timeout(10):
        code = await process.run(broken)

    assert ExitCode.FENCED == code
