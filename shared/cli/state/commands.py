"""`freshet state backup | restore | verify | rebuild | switch | drop`: options in, exit code out."""

import argparse
from pathlib import Path
from typing import Any

STAGES = ("segmentation", "profile_store")


def add_to(parent: Any) -> None:
    """Adds `freshet state` and what lies below it to the subparsers of `freshet`."""
    about = "Copy, restore, verify, rebuild and switch what stages keep."
    group: argparse.ArgumentParser = parent.add_parser("state", help=about, description=about, allow_abbrev=False)
    commands = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_copying(commands)
    _add_verify(commands)
    _add_rebuilding(commands)
    drop = _add(
        commands,
        "drop",
        "Delete a namespace's state. A pointer to the namespace that took over stays.",
        stages=1,
    )
    drop.add_argument("--yes", action="store_true", help="delete without asking")
    drop.set_defaults(command=_command("drop"))


def add_connection(parser: argparse.ArgumentParser, *, redis: bool = True) -> None:
    """Adds where Kafka and Redis are; left out, the environment or the local defaults count."""
    parser.add_argument(
        "--kafka",
        "--kafka-bootstrap-servers",
        metavar="HOST:PORT",
        help="Kafka brokers (FRESHET_KAFKA_BOOTSTRAP_SERVERS); TLS and SASL: FRESHET_KAFKA_SECURITY_PROTOCOL, ...",
    )
    if redis:
        parser.add_argument("--redis", metavar="URL", help="Redis; a password belongs into FRESHET_CLI_REDIS_URL")
    parser.add_argument("--prefix", metavar="TEXT", help="what topic names begin with (FRESHET_CLI_TOPIC_PREFIX)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def _add(commands: Any, name: str, about: str, *, stages: int) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
    if stages == 1:
        parser.add_argument("--stage", required=True, choices=STAGES)
    else:
        parser.add_argument("--stage", action="append", choices=STAGES, help="once for each; all if left out")
    parser.add_argument("--namespace", metavar="NAME", help="the namespace that services are set to (default freshet)")
    add_connection(parser)
    return parser


def _add_copying(commands: Any) -> None:
    backup = _add(commands, "backup", "Copy state to a file while workers run; fences are inside.", stages=2)
    backup.add_argument("--output", required=True, type=Path, metavar="FILE.fsnap")
    backup.set_defaults(command=_command("backup"))
    restore = _add(
        commands,
        "restore",
        "Write a copy into an empty namespace. Workers of that namespace wait until it is whole.",
        stages=2,
    )
    restore.add_argument("--input", required=True, type=Path, metavar="FILE.fsnap")
    restore.set_defaults(command=_command("restore"))


def _add_verify(commands: Any) -> None:
    verify = _add(
        commands,
        "verify",
        "Print digests, counts and fences; with --against exit code 1 when the two differ.",
        stages=1,
    )
    verify.add_argument("--against", metavar="NAMESPACE|FILE", help="compare, and show the first that differ")
    verify.add_argument("--format", choices=("text", "json"), default="text")
    verify.set_defaults(command=_command("verify"))


def _add_rebuilding(commands: Any) -> None:
    rebuild = _add(
        commands,
        "rebuild",
        "Replay the log into another namespace, outputs suppressed, up to where workers are. Stop it and give it "
        "again: it goes on.",
        stages=1,
    )
    rebuild.add_argument("--to", required=True, metavar="NEW", help="the namespace to rebuild into")
    rebuild.add_argument("--from", dest="source", type=Path, metavar="FILE.fsnap", help="begin with a copy")
    rebuild.set_defaults(command=_command("rebuild"))
    switch = _add(
        commands,
        "switch",
        "Compare a rebuilt or restored namespace with the live one at equal fences, then hand workers and readers "
        "over to it. Exit code 1 and no switch when they differ.",
        stages=1,
    )
    switch.add_argument("--to", required=True, metavar="NEW", help="the namespace to go over to")
    switch.add_argument("--no-compare", action="store_true", help="go over though the two differ")
    switch.set_defaults(command=_command("switch"))


def _command(name: str) -> Any:
    def run(options: argparse.Namespace) -> int:
        # Kafka's and Redis' clients take a moment to load, which other commands need not wait for.
        from shared.cli.state.running import run_command

        return run_command(name, options)

    return run
