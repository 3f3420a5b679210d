"""`freshet`, killed or interrupted half-way, however fast the machine is.

`python -m tests.support.struck SIGNAL AFTER ...` runs `freshet ...`, which sends itself the signal, once, when its
progress has passed AFTER. `SIGNAL@move` strikes a switch instead, when so many partitions have gone over.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from shared.cli.__main__ import main
from shared.cli.state.connection import Progress
from shared.runtime.admin import switch


def run_struck(name: str, after: int, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Runs the command in a process of its own; a negative return code is the signal that ended it."""
    command = [sys.executable, "-m", "tests.support.struck", name, str(after), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _strike(name: str, after: int) -> None:
    name, _, place = name.partition("@")
    if place == "move":
        _strike_moves(signal.Signals[name], after)
        return
    struck = False

    def tell(_: Progress, done: int, *rest: Any, **named: Any) -> None:
        nonlocal struck
        if done > after and not struck:
            struck = True
            os.kill(os.getpid(), signal.Signals[name])

    Progress.tell = tell  # type: ignore[method-assign, assignment]


def _strike_moves(number: signal.Signals, after: int) -> None:
    moved, move = 0, switch._move

    async def moving(*arguments: Any) -> None:
        nonlocal moved
        if moved == after:
            os.kill(os.getpid(), number)
        moved += 1
        await move(*arguments)

    switch._move = moving  # type: ignore[assignment]


if __name__ == "__main__":
    # A shell that runs the tests in the background has its children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _strike(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
