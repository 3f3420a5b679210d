"""The command line `python -m deploy.local`, which the Makefile calls."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from deploy.local import logs, platform, probes, topics
from deploy.local.errors import PlatformError
from deploy.local.layout import Layout
from deploy.local.services import address
from deploy.local.settings import LocalSettings, load_settings
from deploy.local.supervision import Supervisor

EXIT_OK, EXIT_FAILED, EXIT_NOT_RUNNING, EXIT_INTERRUPTED = 0, 1, 3, 130
_PROGRAMS = ("supervisord", *platform.PLATFORM, *platform.ALL_SERVICES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0 done, 1 failed with a message, 3 nothing runs."""
    options = _parser().parse_args(arguments)
    command: Callable[[LocalSettings, argparse.Namespace], int] = options.run
    try:
        return command(load_settings(), options)
    except PlatformError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted; what has been started goes on running (`make down` stops it)", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `logs | head` is done reading.
        sys.stderr.close()
        return EXIT_OK


def up(settings: LocalSettings, options: argparse.Namespace) -> int:
    services = [] if options.platform else options.service or None
    platform.start(settings, services, report=_say)
    print(f"Kafka  {settings.kafka_bootstrap_servers}\nRedis  {settings.redis_url}")
    for name in platform.ALL_SERVICES if services is None else services:
        print(f"{name:<16}{settings.url(name)}")
    return EXIT_OK


def down(settings: LocalSettings, _: argparse.Namespace) -> int:
    count = platform.stop(settings, _say)
    print(f"stopped {count} processes; none is left" if count else f"nothing runs at {settings.home}")
    return EXIT_OK


def status(settings: LocalSettings, _: argparse.Namespace) -> int:
    if not platform.is_running(settings):
        print(f"nothing runs at {settings.home}")
        return EXIT_NOT_RUNNING
    states = Supervisor(Layout(settings.home)).states()
    rows, all_ready = [], True
    for name in sorted(states, key=_PROGRAMS.index):
        state = states[name]
        trouble = probes.answers(address(name, settings)) if state.pid else "not running"
        all_ready &= trouble is None
        pid = str(state.pid) if state.pid else "-"
        uptime = f"{state.uptime_s} s" if state.pid else "-"
        rows.append((name, state.state.lower(), pid, uptime, trouble or "yes", str(settings.port(name))))
    _print_table(("program", "state", "pid", "uptime", "ready", "port"), rows)
    return EXIT_OK if all_ready else EXIT_FAILED


def show_logs(settings: LocalSettings, options: argparse.Namespace) -> int:
    layout = Layout(settings.home)
    paths = [layout.log(name) for name in ([options.program] if options.program else _PROGRAMS)]
    prefixed = len(paths) > 1
    for path in paths:
        for line in logs.tail(path, options.lines):
            print(f"{path.stem:<16}{line}" if prefixed else line)
    if options.follow:
        for program, line in logs.follow(paths):
            print(f"{program:<16}{line}" if prefixed else line, flush=True)
    return EXIT_OK


def show_topics(settings: LocalSettings, _: argparse.Namespace) -> int:
    known = asyncio.run(topics.progress(settings.kafka_bootstrap_servers))
    rows = []
    for topic in known:
        lag = ", ".join(f"{group} {records}" for group, records in topic.lag.items())
        rows.append((topic.name, str(topic.partitions), str(topic.end_offset), lag or "-"))
    _print_table(("topic", "partitions", "end offset", "lag by group"), rows)
    return EXIT_OK


def clean(settings: LocalSettings, _: argparse.Namespace) -> int:
    removed = platform.clean(settings)
    print(f"removed all state and logs at {settings.home}" if removed else f"nothing to remove at {settings.home}")
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="The embedded platform: Kafka, Redis and all services on this machine.",
        epilog="Settings are variables FRESHET_LOCAL_...; see deploy/local/README.md.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, run: Callable[[LocalSettings, argparse.Namespace], int], text: str) -> Any:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    starting = add("up", up, "Start what does not run yet and wait until everything answers.")
    starting.add_argument("service", nargs="*", help="only these services, with Kafka and Redis; all if none is named")
    starting.add_argument("--platform", action="store_true", help="only Kafka and Redis")
    add("down", down, "Stop everything, services first, and make sure that no process is left.")
    add("status", status, "Show each process: pid, uptime, readiness, port.")
    reading = add("logs", show_logs, "Show the ends of the logs.")
    reading.add_argument("program", nargs="?", choices=_PROGRAMS, help="one program; all if left out")
    reading.add_argument("-f", "--follow", action="store_true", help="go on with what is added")
    reading.add_argument("-n", "--lines", type=int, default=20, help="lines of each log (default 20)")
    add("topics", show_topics, "Show each topic: partitions, end offset, lag of each consumer group.")
    add("clean", clean, "Remove all state and logs. Refuses while the platform runs.")
    return parser


def _print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _say(line: str) -> None:
    print(line, flush=True)
