"""Where a demo runs: the embedded platform's home, made fresh for each run.

A replay needs empty topics, state and clocks: what an earlier demo left is removed, and said so. Data that no demo
made is never removed without being asked.
"""

import contextlib
import signal
from collections.abc import Iterator

from deploy.demo.display import Say
from deploy.demo.errors import DemoError, UsageError
from deploy.local import platform
from deploy.local.errors import PlatformError
from deploy.local.layout import Layout
from deploy.local.settings import LocalSettings
from deploy.local.supervision import Supervisor
from shared.contracts.topics import INBOUND, SEGMENT_DEFINITIONS

_MARK = "made-by-demo"
_WORK = (INBOUND.name, SEGMENT_DEFINITIONS.name)


def make_fresh(settings: LocalSettings, say: Say) -> None:
    """Ends and removes what an earlier demo left. Raises UsageError when the data there is somebody's own."""
    layout = Layout(settings.home)
    mark = layout.run / _MARK
    if layout.kafka.is_dir() and any(layout.kafka.iterdir()):
        if not mark.exists() and _holds_work(layout):
            raise UsageError(
                f"{settings.home} holds data that no demo made, and a demo begins with an empty system. Remove it with "
                "`make down clean`, or let the demo live elsewhere: FRESHET_LOCAL_HOME=.freshet-demo make demo"
            )
        if platform.stop(settings):
            say("ended what was running here")
        platform.clean(settings)
        say("removed what was here before: each demo begins with an empty system")
    layout.prepare(settings.disk_free_mb_min)
    mark.touch()


def _holds_work(layout: Layout) -> bool:
    """Tells whether anybody has sent a message or defined a segment: a system that was only started has neither."""
    logs = (path for topic in _WORK for path in layout.kafka.rglob(f"*{topic}-*/*.log"))
    return any(path.stat().st_size for path in logs)


@contextlib.contextmanager
def running(settings: LocalSettings, keep: bool, say: Say) -> Iterator[None]:
    """Runs the whole system for the block. It is left up afterwards if `keep` is set and the block succeeds."""
    done = False
    try:
        platform.start(settings, report=say)
        yield
        done = True
    finally:
        if not (done and keep):
            # A second Ctrl-C must not leave half of it behind.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            say("ending everything that was started")
            platform.stop(settings)


def check_processes(settings: LocalSettings) -> None:
    """Raises DemoError naming a process that has given up."""
    try:
        states = Supervisor(Layout(settings.home)).states()
    except PlatformError as error:
        raise DemoError(str(error)) from error
    for name, state in states.items():
        if state.has_given_up:
            raise DemoError(f"{name} has ended and is not started again; see {Layout(settings.home).log(name)}")
