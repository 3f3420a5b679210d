"""Looks at processes: who holds a port, which ones belong to a platform, and their certain end."""

import contextlib
import os
import socket
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

import psutil

from deploy.local.errors import PlatformError
from deploy.local.settings import OWNER_VARIABLE, PREFIX


def owned_by(home: Path) -> list[psutil.Process]:
    """Returns the living processes of the platform at `home`, found by the mark in their environment.

    Pid files lie after a crash; the environment of a process does not.
    """
    return [process for process in psutil.process_iter() if _variable(process, OWNER_VARIABLE) == str(home)]


def end(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Asks the processes to end, kills what is left after `timeout_s`; returns those that live on even so."""
    living = [process for process in processes if process.pid != os.getpid()]
    for process in living:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, living = psutil.wait_procs(living, timeout=timeout_s)
    for process in living:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _, living = psutil.wait_procs(living, timeout=5)
    return list(living)


def refuse_taken_ports(host: str, ports: Sequence[tuple[str, int]], own: Container[int] = ()) -> None:
    """Raises `PlatformError` for the first (setting, port) that a process not in `own` (pids) listens on."""
    for setting, port in ports:
        if _is_free(host, port):
            continue
        pid = _listener(port)
        if pid is None or pid not in own:
            raise PlatformError(
                f"Port {port} on {host} is taken by {_describe(pid)}. "
                f"Stop that process or set {PREFIX}{setting.upper()} to a free port."
            )


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Without this, connections that the last run left in TIME_WAIT would look like a holder.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _listener(port: int) -> int | None:
    with contextlib.suppress(psutil.AccessDenied):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                return connection.pid
    return None


def _describe(pid: int | None) -> str:
    if pid is None:
        return "a process that cannot be seen from here (of another user?)"
    try:
        process = psutil.Process(pid)
        return f"{process.name()} (pid {pid}: {' '.join(process.cmdline())[:80]})"
    except psutil.Error:
        return f"pid {pid}"


def _variable(process: psutil.Process, name: str) -> str | None:
    # A zombie has no environment any more, and processes of others do not show theirs.
    with contextlib.suppress(psutil.Error, OSError):
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.environ().get(name)
    return None
