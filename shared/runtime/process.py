"""The process host: HTTP server and components in one event loop, started in order, stopped in reverse.

Crash-only: a component that fails ends the process with its exit code, and the supervisor starts it again. Nothing
depends on an orderly stop; SIGTERM merely makes hand-over faster.
"""

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import uvloop
from mode import Service

from shared.adapters import kafka_connection
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime import logging
from shared.runtime.health import Health
from shared.runtime.http_host import HttpServer
from shared.runtime.settings import ServiceSettings

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

_STOP_LIMIT_S = 8.0
_GC_THRESHOLDS = (50_000, 20, 100)


@dataclass(frozen=True, slots=True)
class Process:
    """Everything one service's process runs. `app` is an ASGI application; `components` are `mode` services."""

    name: str
    settings: ServiceSettings
    app: Any
    health: Health
    components: Sequence[Service]


def main(name: str, settings_class: type[SettingsT], build: Callable[[SettingsT], Process]) -> NoReturn:
    """Reads settings, builds the process, runs it, exits. The body of every `__main__`."""
    faulthandler.enable()
    kafka_connection.mend()
    try:
        settings = settings_class.load()
        logging.configure(name, settings.log_level, settings.log_format)
        logging.get_logger(name).info("starting", settings=settings.masked())
        uvloop.run(_build_and_run(settings, build))
    except Fatal as error:
        sys.stderr.write(f"{name}: {error}\n")
        _exit(error.exit_code)
    raise AssertionError("unreachable: the process has ended")


async def _build_and_run(settings: SettingsT, build: Callable[[SettingsT], Process]) -> None:
    """Builds inside the loop: Kafka clients bind to the loop they are made in. Ends there too: closing a loop waits
    for tasks that may never end."""
    _exit(await run(build(settings)))


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of clients that wait for a dead broker must not hold the process.
    os._exit(code)


async def run(process: Process) -> int:
    """Runs until a signal or a failure; returns the exit code."""
    log = logging.get_logger(process.name)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = HttpServer(process.app, process.settings)
    started: list[Service] = []
    serving = asyncio.create_task(_serve(server, process), name="http")
    working = asyncio.create_task(_run_components(process, stop, started), name="components")
    stopping = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait({serving, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    process.health.draining = True
    code = _failure_code(log, serving, working)
    ending = asyncio.create_task(_stop_components(working, started), name="stop")
    try:
        async with asyncio.timeout(_STOP_LIMIT_S):
            stop.set()
            await asyncio.wait({ending})
            server.should_exit = True
            await asyncio.wait({serving})
    except TimeoutError:
        log.warning("stop_took_too_long", limit_s=_STOP_LIMIT_S)
    code = code or _failure_code(log, working, ending)
    log.info("stopped", exit_code=code)
    return code


async def _serve(server: HttpServer, process: Process) -> None:
    try:
        await server.serve()
    except SystemExit:  # uvicorn's way of saying that the port is taken
        where = f"{process.settings.http_host}:{process.settings.http_port}"
        raise Fatal(f"cannot listen on {where}: is the port taken? Set another HTTP_PORT") from None


async def _run_components(process: Process, stop: asyncio.Event, started: list[Service]) -> None:
    """Starts components in order, noting them in `started`; waits for the stop or a crash. Raises what crashed."""
    for component in process.components:
        started.append(component)
        await component.start()
    settle_memory()
    process.health.started = True
    while not stop.is_set():
        for component in started:
            if component.crashed:
                raise component.crash_reason or Fatal(f"{component.label} crashed", ExitCode.RETRY)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await stop.wait()


async def _stop_components(working: "asyncio.Task[None]", started: Sequence[Service]) -> None:
    """Stops components in reverse. Not part of `working`: a crash must be known although a stop never returns."""
    await asyncio.wait({working})
    for component in reversed(started):
        await component.stop()


def settle_memory() -> None:
    """Keeps the garbage collector from walking what start-up made, and lets it look less often.

    Decoded events are thousands of containers that die with their batch, without cycles; with the default thresholds
    the collector walks each of them several times, a third of all CPU time in segmentation.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _failure_code(log: logging.Logger, *tasks: "asyncio.Task[None]") -> int:
    for task in tasks:
        if not task.done() or task.cancelled():
            continue
        error = task.exception()
        if isinstance(error, Fatal):
            log.error("fatal", error=str(error), exit_code=error.exit_code)
            return error.exit_code
        if error is not None:
            log.error("crashed", exc_info=error)
            return ExitCode.RETRY
    return 0
