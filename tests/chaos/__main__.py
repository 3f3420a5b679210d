"""`python -m tests.chaos --minutes 10 --seed 1 --events 1000000`: faults under load, then the checker; writes JSON.

Exit code 1 when an invariant was violated, something stood still, or a fault that should have been seen was not.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.machine import machine
from tests.chaos.faults import FAULTS
from tests.chaos.outcome import Plan
from tests.chaos.run import run

_RESULT = Path(__file__).parent / "results" / "chaos.json"
_MUST_HAPPEN = ("redis came back older", "redis refused writes", "zombies refused after a pause")
_SENDING_SHARE = 0.5
"""Of the time; the rest is for starting, coming to rest, checking, and for losing and rebuilding everything."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=4_000)
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS), metavar="NAME")
    parser.add_argument("--output", type=Path, default=_RESULT)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a run that is ended ends its processes

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - started:7.1f} s  {line}\n")

    send_s = options.minutes * 60 * _SENDING_SHARE
    plan = Plan(options.seed, options.events, options.people, send_s, tuple(options.faults), again=True)
    head = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m tests.chaos", *(arguments or sys.argv[1:])]),
        "machine": machine(),
        "seed": options.seed,
    }
    outcome = asyncio.run(run(plan, say))
    report = head | outcome.report()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    missing = [what for what in _MUST_HAPPEN if not outcome.notes.get(what)]
    if missing:
        say(f"this run proves less than it should: never seen were {', '.join(missing)}")
    complete = options.faults == list(FAULTS)
    return 1 if outcome.findings.violations or outcome.unrecovered or (complete and missing) else 0


if __name__ == "__main__":
    sys.exit(main())
