"""The embedded platform as functions: `start`, `wait_ready`, `stop`, `is_running`, `clean`.

The command line, the demo and the tests all use these. They block; do not call them inside a running event loop.
"""

import asyncio
import contextlib
import fcntl
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import psutil
import redis

from deploy.local import java, kafka, kafka_jars, launch, probes, processes, programs, redis_server, topics
from deploy.local.errors import PlatformError
from deploy.local.layout import Layout
from deploy.local.logs import tail
from deploy.local.services import BY_NAME, SERVICES, address
from deploy.local.settings import LocalSettings
from deploy.local.supervision import Supervisor
from deploy.local.topics import TopicSpec
from shared.contracts.topics import physical_topics

Report = Callable[[str], None]
"""Takes one line of progress."""

PLATFORM = ("kafka", "redis")
ALL_SERVICES = tuple(service.name for service in SERVICES)

_POLL_S = 0.1
_PENDING_REPORT_S = 10.0
_LOG_LINES = 15
_SUPERVISOR_STOP_S = 5


def start(
    settings: LocalSettings,
    services: Sequence[str] | None = None,
    declared: Mapping[str, TopicSpec] | None = None,
    report: Report = lambda _: None,
) -> None:
    """Starts Kafka, Redis and `services` (all if None, none if empty) and waits until they answer.

    Idempotent: what runs already goes on, what is missing is started, what has other settings is restarted.
    `declared` are the topics to create by physical name, by default those of the contracts.
    Raises `PlatformError`; what has been started by then goes on, so that its logs can be looked at; `stop` ends it.
    """
    layout = Layout(settings.home)
    chosen = _chosen(services)
    layout.prepare(settings.disk_free_mb_min)
    with _alone(layout):
        supervisor = Supervisor(layout)
        was_running = supervisor.is_running()
        if not was_running:
            _clear_leftovers(layout, report)
        own = {process.pid for process in processes.owned_by(layout.home)} if was_running else set()
        processes.refuse_taken_ports(settings.host, _ports(settings, chosen), own)
        _configure(settings, layout, chosen, report)
        if was_running:
            supervisor.take_up_configuration()
            supervisor.start_group(programs.PLATFORM_GROUP)
        else:
            supervisor.start()
        deadline = time.monotonic() + settings.ready_timeout_s
        wait_ready(settings, PLATFORM, report, deadline)
        _assert_never_evicts(settings)
        wanted = physical_topics(settings.topic_prefix) if declared is None else declared
        if created := asyncio.run(topics.create(settings.kafka_bootstrap_servers, wanted)):
            report(f"created {len(created)} topics")
        if chosen:
            supervisor.start_group(programs.SERVICES_GROUP)
            wait_ready(settings, chosen, report, deadline)


def wait_ready(
    settings: LocalSettings,
    names: Collection[str],
    report: Report = lambda _: None,
    deadline: float | None = None,
) -> None:
    """Waits until each of `names` runs and answers; `deadline` is in `time.monotonic` seconds.

    Raises `PlatformError` with the end of its log for a program that has given up, keeps crashing or does not
    answer in time.
    """
    layout = Layout(settings.home)
    started = reported = time.monotonic()
    deadline = started + settings.ready_timeout_s if deadline is None else deadline
    pending = dict.fromkeys(names, "not started")
    while True:
        for name, trouble in _troubles(settings, layout, list(pending)).items():
            pending[name] = trouble or ""
            if trouble is None:
                del pending[name]
                report(f"{name} is ready after {time.monotonic() - started:.1f} s")
        if not pending:
            return
        now = time.monotonic()
        if now > deadline:
            raise _not_ready(layout, pending)
        if now - reported > _PENDING_REPORT_S:
            reported = now
            report("waiting for " + "; ".join(f"{name} ({trouble})" for name, trouble in pending.items()))
        time.sleep(_POLL_S)


def stop(settings: LocalSettings, report: Report = lambda _: None) -> int:
    """Stops everything, services before the platform; returns how many processes there were.

    Afterwards no process of this home is left: those that do not stop in time, or that a dead supervisor left
    behind, are killed. Raises `PlatformError` if one lives on even so.
    """
    layout = Layout(settings.home)
    running = processes.owned_by(layout.home)
    supervisor = Supervisor(layout)
    if supervisor.is_running():
        supervisor.shutdown()
        report(f"stopping {len(running)} processes")
        psutil.wait_procs(running, timeout=3 * settings.stop_timeout_s + _SUPERVISOR_STOP_S)
    _clear_leftovers(layout, report)
    return len(running)


def is_running(settings: LocalSettings) -> bool:
    """Tells whether the supervisor of this home answers."""
    return Supervisor(Layout(settings.home)).is_running()


def clean(settings: LocalSettings) -> bool:
    """Removes all state and logs of this home; returns whether there was anything. Refuses while it runs.

    Only folders that the platform makes are removed, in case somebody chose a home that holds other things.
    """
    layout = Layout(settings.home)
    if is_running(settings) or processes.owned_by(layout.home):
        raise PlatformError(f"The platform at {layout.home} is running. Stop it first: `make down`.")
    if not layout.home.exists():
        return False
    service_folders = [layout.home / name for name in ALL_SERVICES]
    for folder in (layout.run, layout.logs, layout.sql, layout.kafka, layout.redis, *service_folders):
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # Not ours alone: something else lies in it.
        layout.home.rmdir()
    return True


def _chosen(services: Sequence[str] | None) -> tuple[str, ...]:
    if services is None:
        return ALL_SERVICES
    if unknown := sorted(set(services) - set(BY_NAME)):
        raise PlatformError(f"There is no service {', '.join(unknown)}. Services: {', '.join(ALL_SERVICES)}.")
    return tuple(name for name in ALL_SERVICES if name in services)


def _ports(settings: LocalSettings, chosen: Sequence[str]) -> list[tuple[str, int]]:
    names = [f"{name}_port" for name in ("kafka", "kafka_controller", "redis", *chosen)]
    return [(name, getattr(settings, name)) for name in names]


def _configure(settings: LocalSettings, layout: Layout, chosen: Sequence[str], report: Report) -> None:
    runtime = java.find_java(settings.java)
    jars = kafka_jars.class_path(report)
    server = redis_server.find_server()
    if kafka.prepare(settings, runtime, jars):
        report(f"formatted Kafka's log with Java {runtime.version}")
    platform = programs.platform_programs(settings, runtime, jars, server)
    services = [programs.service_program(BY_NAME[name], settings, chosen) for name in chosen]
    layout.supervisor_config.write_text(programs.render(settings, platform, services))


def _clear_leftovers(layout: Layout, report: Report) -> None:
    if leftovers := processes.owned_by(layout.home):
        report(f"ending {len(leftovers)} processes that a dead supervisor or a slow stop has left")
        if living := processes.end(leftovers, timeout_s=10):
            pids = ", ".join(str(process.pid) for process in living)
            raise PlatformError(f"These processes of {layout.home} do not end even when killed: {pids}.")
    for stale in (layout.supervisor_socket, layout.supervisor_pid, *layout.run.glob("*.starts")):
        stale.unlink(missing_ok=True)


def _troubles(settings: LocalSettings, layout: Layout, names: Sequence[str]) -> dict[str, str | None]:
    """Returns for each program why it does not answer, None if it does; raises for one that never will."""
    states = Supervisor(layout).states()
    troubles = {}
    for name in names:
        state = states.get(name)
        if state is None or state.has_given_up:
            raise PlatformError(f"{name} ended and is not started again.{_log_end(layout, name)}")
        if launch.keeps_crashing(layout.starts(name), time.time()):
            raise PlatformError(f"{name} ends again and again soon after its start.{_log_end(layout, name)}")
        troubles[name] = probes.answers(address(name, settings)) if state.pid else state.state.lower()
    return troubles


def _not_ready(layout: Layout, pending: Mapping[str, str]) -> PlatformError:
    name, *others = pending
    also = f" (nor do: {', '.join(others)})" if others else ""
    return PlatformError(f"{name} does not answer{also}: {pending[name]}.{_log_end(layout, name)}")


def _assert_never_evicts(settings: LocalSettings) -> None:
    # Evicted state would be lost silently: the log is not read again behind its fence.
    with redis.Redis(host=settings.host, port=settings.redis_port, decode_responses=True) as client:
        found = {**client.config_get("maxmemory-policy"), **client.config_get("appendonly")}
    expected = {"maxmemory-policy": "noeviction", "appendonly": "yes"}
    if found != expected:
        raise PlatformError(f"Redis on port {settings.redis_port} has {found}, expected {expected}.")


def _log_end(layout: Layout, name: str) -> str:
    lines = "".join(f"\n  {line}" for line in tail(layout.log(name), _LOG_LINES))
    return f" The end of {layout.log(name)}:{lines}" if lines else f" Its log {layout.log(name)} is empty."


@contextlib.contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    with (layout.run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise PlatformError(f"Another start of the platform at {layout.home} is at work; wait for it.") from error
        yield
