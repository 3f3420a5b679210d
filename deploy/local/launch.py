"""Runs before each supervised program: backs off after crashes, waits for what it needs, then becomes it.

`python -m deploy.local.launch --name x --starts file --needs redis://127.0.0.1:16379 -- python -m services.x` ends
in `exec`, so the process the supervisor watches is the program itself.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from deploy.local import probes

_POLL_S = 0.2
_REPORT_EVERY_S = 5.0
_CRASH_WINDOW_S = 60.0
_CRASHES_MANY = 5
_BACKOFF_S_MAX = 15.0
EXIT_NEEDS_MISSING = 75
"""`EX_TEMPFAIL`: the supervisor starts the program anew."""


def backoff_s(starts: Sequence[float], now: float) -> float:
    """Returns how long to wait before a start, seconds, from the earlier starts of the last minute (Unix seconds).

    One restart is free, so that a killed process is back at once; then 0.5 s, doubled up to 15 s.
    """
    recent = _recent(starts, now)
    return 0.0 if recent < 2 else float(min(_BACKOFF_S_MAX, 0.5 * 2 ** (recent - 2)))


def record_start(path: Path, now: float) -> float:
    """Remembers a start in `path` and returns the back-off that is due; an unreadable file counts as empty."""
    starts = _read(path)
    delay = backoff_s(starts, now)
    path.write_text(json.dumps([*starts, now + delay][-10:]))
    return delay


def keeps_crashing(path: Path, now: float) -> bool:
    """Tells from the record in `path` whether the program has been started too often within the last minute."""
    return _recent(_read(path), now) >= _CRASHES_MANY


def wait_for(url: str, timeout_s: float) -> bool:
    """Waits until `url` answers; prints what it waits for every 5 s; returns False after `timeout_s`."""
    started = reported = time.monotonic()
    while (trouble := probes.answers(url)) is not None:
        now = time.monotonic()
        if now - started > timeout_s:
            _say(f"gave up on {url} after {timeout_s:.0f} s: {trouble}")
            return False
        if now - reported >= _REPORT_EVERY_S:
            reported = now
            _say(f"waiting for {url}: {trouble}")
        time.sleep(_POLL_S)
    return True


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.launch", description=__doc__)
    parser.add_argument("--name", required=True, help="name of the program")
    parser.add_argument("--starts", type=Path, required=True, help="file for the record of starts")
    parser.add_argument("--needs", default="", help="addresses that must answer first, separated by commas")
    parser.add_argument("--timeout-s", type=float, default=120.0, help="longest wait for each address")
    parser.add_argument("command", nargs="+", help="after --: the program and its arguments")
    options = parser.parse_args(arguments)
    if delay := record_start(options.starts, time.time()):
        _say(f"{options.name} ended several times within a minute: waiting {delay:.1f} s before the next start")
        time.sleep(delay)
    for url in filter(None, options.needs.split(",")):
        if not wait_for(url, options.timeout_s):
            sys.exit(EXIT_NEEDS_MISSING)
    os.execvp(options.command[0], options.command)  # noqa: S606 - becoming the program is the purpose


def _read(path: Path) -> list[float]:
    try:
        return [float(start) for start in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []


def _recent(starts: Sequence[float], now: float) -> int:
    return sum(1 for start in starts if now - _CRASH_WINDOW_S <= start <= now)


def _say(text: str) -> None:
    print(f"launch: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
