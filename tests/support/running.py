"""Runs a service's process object inside the test's event loop, on a free port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from shared.runtime.http_host import HttpServer
from shared.runtime.process import Process
from tests.support import waiting


@asynccontextmanager
async def running(process: Process) -> AsyncIterator[str]:
    """Starts components and HTTP as the process host does; yields the base URL; stops all in reverse."""
    server = HttpServer(process.app, process.settings)
    serving = asyncio.create_task(server.serve())
    started = []
    try:
        for component in process.components:
            started.append(component)
            await component.start()
        process.health.started = True
        await eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving
        for component in reversed(started):
            await component.stop()


async def eventually(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    """Waits until `condition()` is true; fails after the limit."""

    async def look() -> object:
        return condition()

    await waiting.eventually(look, "the condition", limit_s)
