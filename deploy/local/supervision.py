"""Talks to the supervisor (supervisord) of one platform: start it, ask it, change it, stop it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from xmlrpc.client import Error, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from deploy.local.errors import PlatformError
from deploy.local.layout import Layout
from deploy.local.settings import OWNER_VARIABLE

_START_TIMEOUT_S = 20.0
_POLL_S = 0.1


@dataclass(frozen=True)
class ProgramState:
    """What the supervisor knows of a program. `uptime_s` and `pid` are 0 when it does not run."""

    name: str
    state: str
    pid: int
    uptime_s: int
    exit_status: int

    @property
    def has_given_up(self) -> bool:
        """It ended and will not be started again, or never could be started."""
        return self.state in ("EXITED", "FATAL") and (self.state == "FATAL" or self.exit_status == os.EX_CONFIG)


class Supervisor:
    """The supervisor of the platform at `layout.home`; every method asks it anew, nothing is cached."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def is_running(self) -> bool:
        """Tells whether it answers; a pid file alone proves nothing."""
        if not self._layout.supervisor_socket.exists():
            return False
        try:
            self._call("getState")
        except PlatformError:
            return False
        return True

    def start(self) -> None:
        """Starts the daemon in its own session, so that Ctrl-C in this terminal does not reach it."""
        for stale in (self._layout.supervisor_socket, self._layout.supervisor_pid):
            stale.unlink(missing_ok=True)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._layout.supervisor_config)]
        started = subprocess.run(
            command,
            env={**os.environ, OWNER_VARIABLE: str(self._layout.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,
        )
        if started.returncode != 0:
            raise PlatformError(f"The supervisor did not start: {(started.stderr or started.stdout).strip()}")
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self.is_running():
            if time.monotonic() > deadline:
                log = self._layout.log("supervisord")
                raise PlatformError(f"The supervisor did not answer within {_START_TIMEOUT_S:.0f} s; see {log}.")
            time.sleep(_POLL_S)

    def states(self) -> dict[str, ProgramState]:
        return {
            info["name"]: ProgramState(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                uptime_s=info["now"] - info["start"] if info["pid"] else 0,
                exit_status=info["exitstatus"],
            )
            for info in self._call("getAllProcessInfo")
        }

    def take_up_configuration(self) -> list[str]:
        """Applies a changed configuration file; returns the groups that were added, changed or removed."""
        added, changed, removed = self._call("reloadConfig")[0]
        for group in [*changed, *removed]:
            self._call("stopProcessGroup", group)
            self._call("removeProcessGroup", group)
        for group in [*added, *changed]:
            self._call("addProcessGroup", group)
        return [*added, *changed, *removed]

    def start_group(self, group: str) -> None:
        """Starts those programs of the group that do not run."""
        self._call("startProcessGroup", group, False)

    def shutdown(self) -> None:
        """Asks it to stop all programs, services before the platform, and then itself; does not wait."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._layout.supervisor_socket}")
        proxy = ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, HTTPException, Error) as error:
            raise PlatformError(f"The supervisor of {self._layout.home} did not {method}: {error}") from error
        finally:
            transport.close()
