"""The real supervisor with small programs instead of Kafka: what crashes, what waits, what is stopped."""

import http.server
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import platform, processes
from deploy.local.errors import PlatformError
from deploy.local.layout import Layout
from deploy.local.programs import PLATFORM_GROUP, Program, render
from deploy.local.settings import LocalSettings
from deploy.local.supervision import Supervisor
from tests.integration.deploy.local.waiting import wait_until
from tests.support.platform import free_ports, free_settings


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    chosen = free_settings(tmp_path / "a home", stop_timeout_s=2)
    Layout(chosen.home).prepare(disk_free_mb_min=0)
    yield chosen
    platform.stop(chosen)


def _python(name: str, code: str, **fields: object) -> Program:
    return Program(name, [sys.executable, "-c", code], stop_timeout_s=2, **fields)  # type: ignore[arg-type]


def _supervised(settings: LocalSettings, *programs: Program) -> Supervisor:
    layout = Layout(settings.home)
    layout.supervisor_config.write_text(render(settings, programs, []))
    supervisor = Supervisor(layout)
    supervisor.start()
    return supervisor


def _log(settings: LocalSettings, name: str) -> str:
    path = Layout(settings.home).log(name)
    return path.read_text() if path.exists() else ""


def test_a_crashed_program_is_started_again(settings: LocalSettings) -> None:
    _supervised(settings, _python("crashing", "print('started', flush=True); raise SystemExit(1)"))

    wait_until(lambda: _log(settings, "crashing").count("started") >= 3, "three starts")

    assert "ended several times within a minute: waiting 0.5 s" in _log(settings, "crashing")


def test_a_configuration_error_is_not_tried_again_and_its_words_are_shown(settings: LocalSettings) -> None:
    # The name is a program's with an address; it never comes to answer.
    code = "print('DATABASE_URL is missing', flush=True); raise SystemExit(78)"
    supervisor = _supervised(settings, _python("redis", code))

    with pytest.raises(PlatformError, match=r"(?s)redis ended and is not started again.*DATABASE_URL is missing"):
        platform.wait_ready(settings, ["redis"])

    assert supervisor.states()["redis"].state == "EXITED"
    assert _log(settings, "redis").count("DATABASE_URL is missing") == 1


def test_a_program_that_keeps_crashing_is_not_waited_for_until_the_end(settings: LocalSettings) -> None:
    _supervised(settings, _python("redis", "print('no such table', flush=True); raise SystemExit(1)"))

    with pytest.raises(PlatformError, match=r"(?s)redis ends again and again soon after its start.*no such table"):
        platform.wait_ready(settings, ["redis"])


def test_a_program_that_does_not_answer_in_time_is_named_with_its_trouble(tmp_path: Path) -> None:
    settings = free_settings(tmp_path, ready_timeout_s=0.5)
    Layout(settings.home).prepare(disk_free_mb_min=0)
    try:
        _supervised(settings, _python("redis", "import time; print('thinking', flush=True); time.sleep(60)"))
        with pytest.raises(PlatformError, match=r"(?s)redis does not answer: .*refused.*thinking"):
            platform.wait_ready(settings, ["redis"])
    finally:
        platform.stop(settings)


def test_a_program_is_started_when_what_it_needs_answers(settings: LocalSettings) -> None:
    (port,) = free_ports(1)
    needs = [f"http://127.0.0.1:{port}/readyz"]
    supervisor = _supervised(
        settings, _python("needing", "print('runs', flush=True); import signal; signal.pause()", needs=needs)
    )
    wait_until(lambda: supervisor.states()["needing"].pid != 0, "the launcher runs")
    assert "runs" not in _log(settings, "needing")

    answers = iter([503])
    with _answering(port, answers):
        wait_until(lambda: "runs" in _log(settings, "needing"), "the program runs")

    assert next(answers, None) is None, "a 503 must not count as ready"


def test_the_supervised_process_is_the_program_itself(settings: LocalSettings) -> None:
    supervisor = _supervised(
        settings, _python("itself", "import os, signal; print(os.getpid(), flush=True); signal.pause()")
    )

    wait_until(lambda: bool(_log(settings, "itself")), "the program has told its pid")

    assert supervisor.states()["itself"].pid == int(_log(settings, "itself").split()[0])


def test_values_reach_the_program_as_they_are(settings: LocalSettings) -> None:
    value = "50% of /a path/with spaces, commas; sharp#signs=+:-()"
    code = "import os, signal; print(os.environ['VALUE'], flush=True); signal.pause()"

    _supervised(settings, _python("telling", code, environment={"VALUE": value}))

    wait_until(lambda: bool(_log(settings, "telling")), "the program has told its value")
    assert _log(settings, "telling") == value + "\n"


def test_what_ignores_the_stop_is_killed_with_what_it_has_started(settings: LocalSettings) -> None:
    deaf = "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    child = f"{deaf} signal.pause()"
    start = f"child = subprocess.Popen([sys.executable, '-c', {child!r}]); print(child.pid, flush=True); "
    _supervised(settings, _python("stubborn", f"{deaf}{start}signal.pause()"))
    wait_until(lambda: bool(_log(settings, "stubborn")), "both processes run")
    grandchild = int(_log(settings, "stubborn"))

    platform.stop(settings)

    assert processes.owned_by(settings.home) == []
    assert not psutil.pid_exists(grandchild)


def test_a_changed_program_is_restarted_and_an_unchanged_supervisor_goes_on(settings: LocalSettings) -> None:
    code = "import os, signal; print(os.environ['VALUE'], flush=True); signal.pause()"
    supervisor = _supervised(settings, _python("changing", code, environment={"VALUE": "old"}))
    wait_until(lambda: "old" in _log(settings, "changing"), "the first value")
    daemon = Layout(settings.home).supervisor_pid.read_text()

    changed = render(settings, [_python("changing", code, environment={"VALUE": "new"})], [])
    Layout(settings.home).supervisor_config.write_text(changed)

    assert supervisor.take_up_configuration() == [PLATFORM_GROUP]
    wait_until(lambda: "new" in _log(settings, "changing"), "the second value")
    assert Layout(settings.home).supervisor_pid.read_text() == daemon
    assert supervisor.take_up_configuration() == []


def test_the_supervisor_has_a_session_of_its_own(settings: LocalSettings) -> None:
    _supervised(settings, _python("any", "import signal; signal.pause()"))

    supervisor = int(Layout(settings.home).supervisor_pid.read_text())

    assert os.getsid(supervisor) != os.getsid(0)


def test_a_home_too_deep_for_a_socket_works(tmp_path: Path) -> None:
    settings = free_settings(tmp_path / ("deep-" * 20) / ("deeper-" * 20))
    Layout(settings.home).prepare(disk_free_mb_min=0)
    try:
        supervisor = _supervised(settings, _python("any", "import signal; signal.pause()"))
        assert supervisor.is_running()
    finally:
        platform.stop(settings)


class _answering:  # noqa: N801 - reads as a verb in `with`
    """An HTTP server that answers with `statuses`, then 200."""

    def __init__(self, port: int, statuses: Iterator[int]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(next(statuses, 200))
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
