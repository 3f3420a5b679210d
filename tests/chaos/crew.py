"""The processes of one chaos run: broker, Redis, proxy and workers, each a child that is started again when it ends.

Not the supervisor, because a fault has to come between an end and the next start: Redis' log is cut while it is down,
a worker stays away for good. Commands, environments and the repair of Redis' log are the embedded platform's own.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from deploy.local import java, kafka, kafka_jars, probes, programs, redis_server
from deploy.local.layout import Layout
from deploy.local.programs import Program
from deploy.local.services import BY_NAME
from deploy.local.settings import CHECKOUT, OWNER_VARIABLE, LocalSettings
from tests.support.platform import SESSION_VARIABLE, free_ports, free_settings

_RESTART_PAUSE_S = 0.2
_NEEDS_POLL_S = 0.1
_START_LIMIT_S = 180.0
SESSION_MS = 6_000
"""The shortest session that a broker grants by default."""


@dataclass(frozen=True, slots=True)
class Line:
    """Services that belong together: what their topics begin with, their namespace in Redis and their clock."""

    prefix: str
    namespace: str
    clock: str


MAIN, WALL = Line("", "freshet", "stream"), Line("wall-", "wall", "wall")


@dataclass(frozen=True, slots=True)
class Ending:
    """A process that ended by itself or was made to. `code` is negative for a signal."""

    at_s: float
    name: str
    code: int


@dataclass
class Member:
    """One program. `wanted` False keeps it down."""

    program: Program
    wanted: bool = True
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None and self.process.poll() is None else 0


@dataclass
class Crew:
    """All programs by name. `inner` are the real ports, `settings` what services and clients are given: the proxy."""

    settings: LocalSettings
    inner: LocalSettings
    members: dict[str, Member] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    _watching: "asyncio.Task[None] | None" = None
    _proxy: "subprocess.Popen[bytes] | None" = None

    @property
    def layout(self) -> Layout:
        return Layout(self.inner.home)

    async def start(self) -> None:
        """Starts proxy, broker and Redis and waits until they answer."""
        self.layout.prepare(0)
        self._configure()
        pairs = [f"{getattr(self.settings, name)}:{getattr(self.inner, name)}" for name in ("kafka_port", "redis_port")]
        await asyncio.to_thread(self._start_proxy, pairs)
        self._watching = asyncio.create_task(self._watch())
        for name in ("kafka", "redis"):
            await self.answering(name)

    def _start_proxy(self, pairs: Sequence[str]) -> None:
        self._proxy = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.proxy", *pairs],
            cwd=CHECKOUT,
            env=self._environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._proxy.stdout is not None
        self._proxy.stdout.readline()

    def _configure(self) -> None:
        runtime, server = java.find_java(self.inner.java), redis_server.find_server()
        jars = kafka_jars.class_path(lambda _: None)
        kafka.prepare(self.inner, runtime, jars)
        file = self.layout.kafka / "server.properties"
        told = kafka.server_properties(self.inner)
        # Clients come back through the proxy.
        told["advertised.listeners"] = f"PLAINTEXT://{self.settings.kafka_bootstrap_servers}"
        file.write_text(kafka.render_properties(told), encoding="ascii")
        for program in programs.platform_programs(self.inner, runtime, jars, server):
            self.members[program.name] = Member(program)

    def add(self, name: str, service: str, ports: Mapping[str, int], line: Line, database: str = "") -> None:
        """Adds a worker process of a service under a name of its own; it starts at once.

        `ports` go over those of `settings`, by service: its own, and those of services it asks. `database` names the
        file that workers of one service share.
        """
        changed = {f"{of}_port": port for of, port in ports.items()}
        chosen = self.settings.model_copy(update={**changed, "topic_prefix": line.prefix, "clock": line.clock})
        told = BY_NAME[service].environment(chosen)
        variables = BY_NAME[service].variables
        mine = {"KAFKA_SESSION_TIMEOUT_MS": str(SESSION_MS)}
        # Dynamic members: a static one keeps its partitions while it is down, which hides the hand-over.
        mine["KAFKA_GROUP_INSTANCE_ID"] = ""
        needs = [f"kafka://{self.inner.kafka_bootstrap_servers}"]
        if "DATABASE_URL" in variables:
            mine["DATABASE_URL"] = f"sqlite+aiosqlite:///{self.layout.sql / (database or name)}.db"
        if "DATA_DIR" in variables:
            mine["DATA_DIR"] = str(self.inner.home / name)
        if "REDIS_URL" in variables:
            mine["REDIS_NAMESPACE"] = line.namespace
            needs.append(self.inner.redis_url)
        told |= {BY_NAME[service].prefix + variable: value for variable, value in mine.items()}
        program = Program(name, [sys.executable, "-m", f"services.{service}"], 10, needs, told)
        self.members[name] = Member(program)

    async def answering(self, name: str, limit_s: float = _START_LIMIT_S) -> None:
        """Waits until the broker or Redis answers at its own port."""
        url = f"kafka://{self.inner.kafka_bootstrap_servers}" if name == "kafka" else self.inner.redis_url
        await self._until(url, limit_s)

    async def ready(self, port: int, limit_s: float = _START_LIMIT_S) -> None:
        """Waits until a worker is ready."""
        await self._until(f"http://127.0.0.1:{port}/readyz", limit_s)

    async def _until(self, url: str, limit_s: float) -> None:
        end = time.monotonic() + limit_s
        while trouble := await asyncio.to_thread(probes.answers, url):
            assert time.monotonic() < end, f"{url} did not answer within {limit_s:.0f} s: {trouble}"
            await asyncio.sleep(_NEEDS_POLL_S)

    def network(self, program: str, mode: str) -> None:
        """Changes the network in front of `kafka` or `redis`."""
        assert self._proxy is not None
        assert self._proxy.stdin is not None
        said = {"listen": self.settings.port(program), "mode": mode}
        self._proxy.stdin.write(json.dumps(said).encode() + b"\n")
        self._proxy.stdin.flush()

    def hit(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to a member that runs."""
        if pid := self.members[name].pid:
            os.kill(pid, number)

    async def gone(self, name: str, number: signal.Signals) -> None:
        """Signals a member, lets it not be started again, and waits for its end."""
        member = self.members[name]
        member.wanted = False
        self.hit(name, number)
        process = member.process
        if process is not None:
            await asyncio.to_thread(process.wait)

    def back(self, name: str) -> None:
        """Lets a member be started again."""
        self.members[name].wanted = True

    async def _watch(self) -> None:
        """Notes endings and starts again whoever is wanted and has what it needs."""
        while True:
            for name, member in self.members.items():
                if member.process is not None and (code := member.process.poll()) is not None:
                    self.endings.append(Ending(time.monotonic(), name, code))
                    member.process = None
                elif member.process is None and member.wanted and await self._may_start(member):
                    self._launch(name, member)
            await asyncio.sleep(_RESTART_PAUSE_S)

    @staticmethod
    async def _may_start(member: Member) -> bool:
        for url in member.program.needs:
            if await asyncio.to_thread(probes.answers, url):
                return False
        return True

    def _launch(self, name: str, member: Member) -> None:
        with self._log(name) as log:
            member.process = subprocess.Popen(
                list(member.program.command),
                cwd=CHECKOUT,
                env=self._environment(member.program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        member.starts += 1

    def _log(self, name: str) -> IO[bytes]:
        return self.layout.log(name).open("ab")

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, OWNER_VARIABLE: str(self.inner.home), SESSION_VARIABLE: str(os.getpid()), **more}

    async def stop(self) -> None:
        """Ends everything."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        for member in self.members.values():
            if member.process is not None and member.pid:
                member.process.send_signal(signal.SIGCONT)
                member.process.kill()
                member.process.wait()
        if self._proxy is not None:
            self._proxy.kill()
            self._proxy.wait()


def crew_at(home: Path, **fields: object) -> Crew:
    """Returns a crew with free ports, on the stream clock."""
    inner = free_settings(home, clock="stream", **fields)
    kafka_port, redis_port = free_ports(2)
    return Crew(inner.model_copy(update={"kafka_port": kafka_port, "redis_port": redis_port}), inner)


def tail(path: Path, lines: int = 30) -> Sequence[str]:
    """The end of a log, for messages about a failure."""
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace").splitlines()[-lines:]
    return ()
