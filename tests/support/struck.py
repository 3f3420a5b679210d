"""`freshet`, killed or interrupted half-way, however fast the machine is.

`python -m tests.support.struck SIGNAL AFTER ...` runs `freshet ...`, which sends itself the signal, once, when its
progress has passed AFTER.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from shared.cli.__main__ import main
from shared.cli.state.connection import Progress


def run_struck(name: str, after: int, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Runs the command in a process of its own; a negative return code is the signal that ended it."""
    command = [sys.executable, "-m", "tests.support.struck", name, str(after), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _strike(name: str, after: int) -> None:
    struck = False

    def tell(_: Progress, done: int, *rest: Any, **named: Any) -> None:
        nonlocal struck
        if done > after and not struck:
            struck = True
            os.kill(os.getpid(), signal.Signals[name])

    Progress.tell = tell  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    _strike(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
