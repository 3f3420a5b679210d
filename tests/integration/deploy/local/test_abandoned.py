"""Test platforms whose test run was killed."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.local import platform
from deploy.local.errors import PlatformError
from deploy.local.settings import LocalSettings
from tests.support.platform import end_abandoned, free_settings

_SLEEP = [sys.executable, "-c", "import signal; signal.pause()"]


def _process_of_session(pid: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(_SLEEP, env={**os.environ, "FRESHET_TEST_SESSION_PID": str(pid)})


def test_processes_of_a_dead_test_run_are_ended_and_those_of_a_living_one_are_not() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    abandoned, ours = _process_of_session(dead.pid), _process_of_session(os.getpid())
    try:
        end_abandoned()

        assert abandoned.poll() is not None
        assert ours.poll() is None
    finally:
        for process in (abandoned, ours):
            process.kill()
            process.wait()


def test_two_starts_at_once_do_not_mix(tmp_path: Path) -> None:
    settings = free_settings(tmp_path)
    (tmp_path / "run").mkdir()
    hold = f"import fcntl, signal; f = open({str(tmp_path / 'run' / 'lock')!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
    with subprocess.Popen([sys.executable, "-c", f"{hold}print(1, flush=True); signal.pause()"], stdout=-1) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            refusal = _refusal_of_start(settings)
        finally:
            other.kill()

    assert "Another start of the platform" in refusal


def _refusal_of_start(settings: LocalSettings) -> str:
    try:
        platform.start(settings, services=[])
    except PlatformError as error:
        return str(error)
    platform.stop(settings)
    return "started"
