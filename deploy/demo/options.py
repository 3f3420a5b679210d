"""What the person asked for: the options of `make demo`, checked before anything is started."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.errors import UsageError
from shared.cli.sources.synthetic import USERS_MAX
from shared.kernel.clock import Micros, parse_instant

USERS_DEFAULT = 5_000


@dataclass(frozen=True, slots=True)
class Options:
    """`until`: events before this instant (µs) are sent, and time goes on to it. `limit`: at most so many events."""

    data: Path | None = None
    segments: Path | None = None
    summary: Path | None = None
    keep: bool = True
    until: Micros | None = None
    limit: int | None = None
    users: int = USERS_DEFAULT
    seed: int = 0


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Reads the command line. Raises UsageError; `--help` and unknown options end the program as argparse does."""
    given = _parser().parse_args(arguments)
    return Options(
        data=Path(given.data) if given.data else None,
        segments=Path(given.segments) if given.segments else None,
        summary=_writable(Path(given.summary)) if given.summary else None,
        keep=_truth(given.keep),
        until=_instant(given.until) if given.until else None,
        limit=_count("LIMIT", given.limit, 2**63 - 1) if given.limit else None,
        users=_count("USERS", given.users, USERS_MAX) if given.users else USERS_DEFAULT,
        seed=_seed(given.seed),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo",
        description="Starts everything, sends events, decides, trains, scores, and prints the result.",
    )
    parser.add_argument("--data", help="folder of a GA4 export or of the Luma shop; synthetic events without it")
    parser.add_argument("--segments", help="folder of .pql files to use instead of the shipped ones")
    parser.add_argument("--summary", help="file to write the summary to, as JSON")
    parser.add_argument("--keep", default="1", help="0 ends everything afterwards; otherwise it is left up")
    parser.add_argument("--until", help="instant at which the replay ends, like 2020-12-29T12:00:00Z")
    parser.add_argument("--limit", help="send only the first so many events")
    parser.add_argument("--users", help=f"synthetic people (default {USERS_DEFAULT:,})")
    parser.add_argument("--seed", default="0", help="seed of the synthetic events (default 0)")
    return parser


def _truth(text: str) -> bool:
    if text.lower() in ("1", "yes", "true"):
        return True
    if text.lower() in ("0", "no", "false"):
        return False
    raise UsageError(f"KEEP={text} should be 1 (leave everything up) or 0 (end it)")


def _instant(text: str) -> Micros:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UsageError(f"UNTIL={text} is not an instant like 2020-12-29T12:00:00Z: {error}") from error


def _count(name: str, text: str, most: int) -> int:
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise UsageError(f"{name}={text} should be a whole number from 1 to {most:,}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"SEED={text} should be a whole number, 0 or more")
    return int(text)


def _writable(path: Path) -> Path:
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(f"SUMMARY={path} cannot be written: its folder must exist and it must not be a folder itself")
    return path
