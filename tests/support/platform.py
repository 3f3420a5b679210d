"""The embedded platform for tests: one per session, in a folder of its own, on free ports, ended whatever happens."""

import atexit
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local import platform, processes
from deploy.local.layout import Layout
from deploy.local.services import SERVICES
from deploy.local.settings import LocalSettings
from deploy.local.supervision import Supervisor

SESSION_VARIABLE = "FRESHET_TEST_SESSION_PID"
"""Marks every process of a test platform with the test run it belongs to."""


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens on, all different; they are held open together while they are chosen."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def free_settings(home: Path, **fields: object) -> LocalSettings:
    """Returns settings for a platform at `home` with every port free; `fields` go over them."""
    names = ["kafka", "kafka_controller", "redis", *(service.name for service in SERVICES)]
    ports = {f"{name}_port": port for name, port in zip(names, free_ports(len(names)), strict=True)}
    return LocalSettings.model_validate({"home": home, "disk_free_mb_min": 256, **ports, **fields})


@dataclass
class EmbeddedPlatform:
    """A running platform. `started` ends it at the end of the block, after a failure and at exit of the interpreter."""

    settings: LocalSettings
    services: Sequence[str] = field(default=())

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def kafka_bootstrap_servers(self) -> str:
        return self.settings.kafka_bootstrap_servers

    @property
    def redis_url(self) -> str:
        return self.settings.redis_url

    def pid(self, program: str) -> int:
        """Returns the pid of a running program, 0 while it is down."""
        return Supervisor(Layout(self.home)).states()[program].pid

    @classmethod
    @contextlib.contextmanager
    def started(cls, services: Sequence[str] = (), **fields: object) -> Iterator["EmbeddedPlatform"]:
        """Runs Kafka, Redis, all topics and `services` for the block."""
        end_abandoned()
        home = Path(tempfile.mkdtemp(prefix="freshet-test-"))
        embedded = cls(free_settings(home, **fields), services)
        os.environ[SESSION_VARIABLE] = str(os.getpid())
        atexit.register(embedded.end)
        try:
            platform.start(embedded.settings, services)
            yield embedded
        finally:
            embedded.end()
            atexit.unregister(embedded.end)

    def end(self) -> None:
        """Stops the platform and removes its home; what does not stop is killed. Harmless when repeated."""
        try:
            if self.home.exists():
                platform.stop(self.settings)
        finally:
            processes.end(processes.owned_by(self.home), timeout_s=2)
            shutil.rmtree(self.home, ignore_errors=True)


def end_abandoned() -> None:
    """Ends test platforms whose test run no longer lives: a killed run cannot end its own."""
    abandoned = [process for process in psutil.process_iter() if _is_abandoned(process)]
    processes.end(abandoned, timeout_s=5)


def _is_abandoned(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        session = process.environ().get(SESSION_VARIABLE)
        return session is not None and session.isdecimal() and not psutil.pid_exists(int(session))
    return False
