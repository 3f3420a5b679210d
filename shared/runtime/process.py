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

from shared.kernel.errors import ExitCode, Fatal
from shared.runtime import logging
from shared.runtime.health import Health
from shared.runtime.http_host import HttpServer
from shared.runtime.settings import ServiceSettings

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

_STOP_LIMIT_S = 8.0


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
    try:
        settings = settings_class.load()
        logging.configure(name, settings.log_level, settings.log_format)
        logging.get_logger(name).info("starting", settings=settings.masked())
        code = uvloop.run(_build_and_run(settings, build))
    except Fatal as error:
        sys.stderr.write(f"{name}: {error}\n")
        code = error.exit_code
    # os._exit: threads of clients that wait for a dead broker must not hold the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _build_and_run(settings: SettingsT, build: Callable[[SettingsT], Process]) -> int:
    """Builds inside the loop: Kafka clients bind to the loop they are made in."""
    return await run(build(settings))


async def run(process: Process) -> int:
    """Runs until a signal or a failure; returns the exit code."""
    log = logging.get_logger(process.name)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = HttpServer(process.app, process.settings)
    serving = asyncio.create_task(_serve(server, process), name="http")
    working = asyncio.create_task(_run_components(process, stop), name="components")
    stopping = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait({serving, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    process.health.draining = True
    code = _failure_code(log, serving, working)
    try:
        async with asyncio.timeout(_STOP_LIMIT_S):
            stop.set()
            await asyncio.wait({working})
            server.should_exit = True
            await asyncio.wait({serving})
    except TimeoutError:
        log.warning("stop_took_too_long", limit_s=_STOP_LIMIT_S)
    code = code or _failure_code(log, working)
    log.info("stopped", exit_code=code)
    return code


async def _serve(server: HttpServer, process: Process) -> None:
    try:
        await server.serve()
    except SystemExit:  # uvicorn's way of saying that the port is taken
        where = f"{process.settings.http_host}:{process.settings.http_port}"
        raise Fatal(f"cannot listen on {where}: is the port taken? Set another HTTP_PORT") from None


async def _run_components(process: Process, stop: asyncio.Event) -> None:
    """Starts components in order, waits for the stop or a crash, stops them in reverse. Raises what crashed."""
    started: list[Service] = []
    try:
        for component in process.components:
            started.append(component)
            await component.start()
        gc.collect()
        gc.freeze()  # what start-up made lives for ever: keep the collector from walking it
        process.health.started = True
        while not stop.is_set():
            for component in started:
                if component.crashed:
                    raise component.crash_reason or Fatal(f"{component.label} crashed", ExitCode.RETRY)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await stop.wait()
    finally:
        for component in reversed(started):
            await component.stop()


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
