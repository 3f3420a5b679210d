"""The command `freshet`: ask a running system, make messages to send to one, and work on segments without one."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from shared.cli.dlq import commands as dlq_commands
from shared.cli.segments import commands as segment_commands
from shared.cli.segments.errors import WrongInput
from shared.cli.sources.choose import choose_source
from shared.cli.sources.source import Datasets, SourceError
from shared.cli.state import commands as state_commands
from shared.contracts.codec import encode
from shared.sdk import DEFAULT_URLS, ApiError, Freshet, Unreachable

Command = Callable[[argparse.Namespace], int | None]
"""Runs, and returns an exit code if it may be another than 0."""

_PATIENCE_S = 3.0


_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 when answered, 1 when refused, nobody answered or an expectation failed, 2 for arguments and files
    that make no sense, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options) or 0
    except WrongInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (ApiError, Unreachable, SourceError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # `freshet events | head` is done reading.
            sys.stderr.close()
            return 0
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED


def _events(options: argparse.Namespace) -> None:
    source = choose_source(options.data, options.users, options.seed)
    datasets = Datasets(options.events_dataset, options.profiles_dataset)
    for event in islice(source.read(datasets), options.limit):
        sys.stdout.write(encode(event.message).decode() + "\n")


def _segments(options: argparse.Namespace) -> None:
    with _connect(options) as freshet:
        for segment in freshet.segmentation.segments():
            state = "ready" if segment.ready else "starting"
            print(f"{segment.id}  version {segment.version}  {state}  {' '.join(segment.expression.split())}")


def _define(options: argparse.Namespace) -> None:
    with _connect(options) as freshet:
        segment = freshet.segmentation.define(options.file.stem, options.file.read_text(), options.file.stem)
        print(f"{segment.id} is defined, version {segment.version}")


def _profile(options: argparse.Namespace) -> None:
    with _connect(options) as freshet:
        _print_json(freshet.profiles.lookup(options.namespace, options.id))


def _members(options: argparse.Namespace) -> None:
    with _connect(options) as freshet:
        cursor, left = None, options.limit
        while left > 0:
            page = freshet.profiles.members(options.segment, min(left, 1_000), cursor)
            for profile in page["members"]:
                print(profile)
            cursor, left = page["page"]["next"], left - len(page["members"])
            if not cursor:
                return


def _predict(options: argparse.Namespace) -> None:
    with _connect(options) as freshet:
        _print_json(freshet.edge.predict(options.model, options.namespace, options.id))


def _connect(options: argparse.Namespace) -> Freshet:
    return Freshet.connect(dict(options.url), _PATIENCE_S)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _url(text: str) -> tuple[str, str]:
    service, _, url = text.partition("=")
    if service not in DEFAULT_URLS or not url:
        raise argparse.ArgumentTypeError(f"{text!r} is not SERVICE=URL with one of {', '.join(DEFAULT_URLS)}")
    return service, url


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="freshet", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--url", type=_url, action="append", default=[], metavar="SERVICE=URL", help="where a service is, if elsewhere"
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=command)
        return added

    events = add("events", _events, "Write messages for `inbound` as JSON lines.")
    events.add_argument("--data", type=Path, help="folder of a GA4 export or of the Luma shop; synthetic without it")
    events.add_argument("--users", type=int, default=1_000, help="synthetic people (default 1,000)")
    events.add_argument("--seed", type=int, default=0, help="seed of the synthetic events (default 0)")
    events.add_argument("--limit", type=int, help="only the first so many messages")
    events.add_argument("--events-dataset", default="events", help="dataset id that events name")
    events.add_argument("--profiles-dataset", default="profiles", help="dataset id that profile records name")
    segment_commands.add_to(add("segments", _segments, "List the segments; or test, backtest, explain and check some."))
    state_commands.add_to(commands)
    dlq_commands.add_to(commands)
    add("define", _define, "Define a segment, named after its file.").add_argument("file", type=Path)
    profile = add("profile", _profile, "Show a profile by one of its identities.")
    members = add("members", _members, "List the profile ids in a segment.")
    members.add_argument("segment")
    members.add_argument("--limit", type=int, default=1_000, help="at most so many (default 1,000)")
    predict = add("predict", _predict, "Ask the edge for a score.")
    predict.add_argument("model")
    for command in (profile, predict):
        command.add_argument("namespace")
        command.add_argument("id")
    return parser


if __name__ == "__main__":
    sys.exit(main())
