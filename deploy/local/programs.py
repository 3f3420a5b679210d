"""What the supervisor runs: one `Program` per process, rendered into its configuration file."""

import getpass
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import kafka, redis_server
from deploy.local.errors import PlatformError
from deploy.local.java import Java
from deploy.local.layout import Layout
from deploy.local.redis_server import RedisServer
from deploy.local.services import BY_NAME, Service, address
from deploy.local.settings import CHECKOUT, LocalSettings
from shared.kernel.errors import ExitCode

PLATFORM_GROUP = "platform"
SERVICES_GROUP = "services"
_OLD_LOGS_KEPT = 3
_UNWRITABLE = re.compile(r"\s[;#]|[\r\n]")


@dataclass(frozen=True)
class Program:
    """One supervised process; `command` is what it becomes after the launcher has waited for `needs` (addresses)."""

    name: str
    command: Sequence[str]
    stop_timeout_s: int
    needs: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def platform_programs(settings: LocalSettings, java: Java, jars: Sequence[Path], server: RedisServer) -> list[Program]:
    """Returns Kafka and Redis."""
    broker = Program(
        "kafka",
        kafka.command(settings, java, jars),
        2 * settings.stop_timeout_s,
        environment=kafka.environment(settings),
    )
    options = {
        "server": server.path,
        "version": server.version,
        "folder": Layout(settings.home).redis,
        "host": settings.host,
        "port": settings.redis_port,
        "memory-mb": settings.redis_memory_mb,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", redis_server.__name__, *arguments]
    return [broker, Program("redis", command, settings.stop_timeout_s)]


def service_program(service: Service, settings: LocalSettings, chosen: Sequence[str]) -> Program:
    """Returns the program of a service; it waits only for those services that are started with it."""
    needs = [name for name in service.needs if name not in BY_NAME or name in chosen]
    return Program(
        service.name,
        [sys.executable, "-m", f"services.{service.name}"],
        settings.stop_timeout_s,
        [address(name, settings) for name in needs],
        service.environment(settings),
    )


def render(settings: LocalSettings, platform: Sequence[Program], services: Sequence[Program]) -> str:
    """Returns the supervisor's configuration file. Groups with the lower priority start first and stop last."""
    layout = Layout(settings.home)
    sections = [_supervisor(settings, layout)]
    for group, priority, programs in ((PLATFORM_GROUP, 10, platform), (SERVICES_GROUP, 20, services)):
        if programs:
            names = ",".join(program.name for program in programs)
            sections.append(_section(f"group:{group}", {"programs": names, "priority": str(priority)}))
            # Services need their topics first, so they are started by hand once those exist.
            sections += [_program(program, settings, layout, group == PLATFORM_GROUP) for program in programs]
    return "\n".join(sections)


def _supervisor(settings: LocalSettings, layout: Layout) -> str:
    daemon = {
        "logfile": str(layout.log("supervisord")),
        "logfile_maxbytes": f"{settings.log_mb_max}MB",
        "logfile_backups": str(_OLD_LOGS_KEPT),
        "loglevel": "info",
        "pidfile": str(layout.supervisor_pid),
        "directory": str(CHECKOUT),
        "childlogdir": str(layout.logs),
    }
    if os.getuid() == 0:
        daemon["user"] = getpass.getuser()  # Says that running as root is meant, which it otherwise warns about.
    rpc = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
    socket = {"file": str(layout.supervisor_socket), "chmod": "0700"}
    return "\n".join(
        (
            _section("unix_http_server", socket),
            _section("supervisord", daemon),
            _section("rpcinterface:supervisor", rpc),
        )
    )


def _program(program: Program, settings: LocalSettings, layout: Layout, autostart: bool) -> str:
    launch = [
        sys.executable,
        "-m",
        "deploy.local.launch",
        "--name",
        program.name,
        "--starts",
        str(layout.starts(program.name)),
    ]
    if program.needs:
        launch += ["--needs", ",".join(program.needs)]
    options = {
        "command": shlex.join([*launch, "--", *program.command]),
        "directory": str(CHECKOUT),
        "environment": ",".join(f'{name}="{value}"' for name, value in program.environment.items()),
        "autostart": "true" if autostart else "false",
        # Everything but a configuration error is worth another try; the launcher backs off between tries.
        "autorestart": "unexpected",
        "exitcodes": str(ExitCode.CONFIGURATION),
        "startsecs": "0",
        "stopsignal": "TERM",
        "stopwaitsecs": str(program.stop_timeout_s),
        # What a killed program has started itself, such as a training run, must not outlive it.
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(layout.log(program.name)),
        "stdout_logfile_maxbytes": f"{settings.log_mb_max}MB",
        "stdout_logfile_backups": str(_OLD_LOGS_KEPT),
    }
    return _section(f"program:{program.name}", {key: value for key, value in options.items() if value})


def _section(name: str, options: Mapping[str, str]) -> str:
    for key, value in options.items():
        if _UNWRITABLE.search(value):
            raise PlatformError(
                f"The supervisor's configuration cannot carry {key}={value} of {name}: a blank before ; or # begins a "
                "comment there, and lines end a value. Use paths without these."
            )
    # The supervisor expands %(...)s everywhere.
    lines = (f"{key}={value.replace('%', '%%')}" for key, value in options.items())
    return "\n".join((f"[{name}]", *lines, ""))
