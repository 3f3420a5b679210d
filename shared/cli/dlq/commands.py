"""`freshet dlq list | show | replay | purge`: options in, exit code out."""

import argparse
from typing import Any

from shared.cli.state.commands import add_connection
from shared.contracts.topics import TOPICS

_DLQ_TOPICS = tuple(topic.name for topic in TOPICS if topic.dlq)


def add_to(parent: Any) -> None:
    """Adds `freshet dlq` and what lies below it to the subparsers of `freshet`."""
    about = "List, show, send again and delete dead letters."
    group: argparse.ArgumentParser = parent.add_parser("dlq", help=about, description=about, allow_abbrev=False)
    commands = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = _add(commands, "list", "Count the dead letters of a topic by reason and stage, or list each.")
    listing.add_argument("--each", action="store_true", help="a line for each letter")
    listing.add_argument("--limit", type=int, default=100, help="with --each at most so many (default 100)")
    _add_choice(listing)
    listing.add_argument("--format", choices=("text", "json"), default="text")
    show = _add(commands, "show", "Show one dead letter: why, its headers and its bytes.")
    show.add_argument("place", metavar="PARTITION:OFFSET", help="as `list --each` prints it")
    show.add_argument("--format", choices=("text", "json"), default="text")
    replay = _add(
        commands,
        "replay",
        "Send dead letters to their topic again, once the cause is mended: same partition, key, value, headers and "
        "time. Each is sent once, however often the command is given.",
    )
    _add_choice(replay)
    replay.add_argument("--all", action="store_true", help="all letters; else choose by reason, stage or offsets")
    replay.add_argument("--dry-run", action="store_true", help="only say what would be sent")
    replay.add_argument(
        "--replays-max", type=int, default=3, metavar="N", help="leave letters that came back N times (default 3)"
    )
    purge = _add(commands, "purge", "Delete the dead letters of a partition up to an offset, for good.")
    purge.add_argument(
        "--up-to", required=True, action="append", metavar="PARTITION:OFFSET", help="the last offset to delete"
    )
    purge.add_argument("--yes", action="store_true", help="delete without asking")


def _add(commands: Any, name: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
    parser.add_argument("--topic", required=True, choices=_DLQ_TOPICS, help="the topic that refused them")
    add_connection(parser, redis=False)
    parser.set_defaults(command=_command(name))
    return parser


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", action="append", metavar="REASON", help="only letters with one of these reasons")
    parser.add_argument("--refused-by", action="append", metavar="STAGE", help="only letters of one of these stages")
    parser.add_argument(
        "--offsets", action="append", metavar="PARTITION:FROM-TO", help="only letters in one of these ranges"
    )


def _command(name: str) -> Any:
    def run(options: argparse.Namespace) -> int:
        # Kafka's client takes a moment to load, which other commands need not wait for.
        from shared.cli.dlq.running import run_command

        return run_command(name, options)

    return run
