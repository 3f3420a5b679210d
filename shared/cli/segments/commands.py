"""`freshet segments test | backtest | explain | check`: options in, exit code out."""

import argparse
import json
from pathlib import Path
from typing import Any

from shared.cli.segments.checking import check_paths, explain_text
from shared.cli.segments.errors import WrongInput, counted


def add_to(segments: argparse.ArgumentParser) -> None:
    """Add the subcommands to the parser of `freshet segments`."""
    commands = segments.add_subparsers(title="commands", metavar="COMMAND")
    _add_test(commands)
    _add_backtest(commands)
    _add_explain(commands)
    _add_check(commands)


def _add(commands: Any, name: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
    return parser


def _add_test(commands: Any) -> None:
    parser = _add(
        commands, "test", "Run test files: exit code 0 if all expectations hold, 1 if not, 2 if a file is wrong."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(command=_test)


def _add_backtest(commands: Any) -> None:
    parser = _add(commands, "backtest", "Say who was in which segment at given instants, out of a log of events.")
    add = parser.add_argument
    add("--definitions", required=True, type=Path, metavar="DIR|FILE", help="a folder of .pql files, one, or a YAML")
    add("--events", required=True, type=Path, metavar="PATH", help="a file, or a folder of files")
    add("--mapping", metavar="FILE", help="a mapping file, or the name of one that is shipped")
    add("--from", dest="start", metavar="T0", help="events before are not seen")
    add("--at", action="extend", nargs="+", default=[], metavar="T", help="an instant to evaluate; [.., T) is seen")
    add("--every", metavar="D", help="evaluate at every multiple of a duration, such as 1d")
    add("--transitions", type=Path, metavar="OUT", help="write a log of all transitions as JSON Lines")
    add("--output", required=True, type=Path, metavar="OUT.json")
    add("--members", type=Path, metavar="DIR", help="write the members' ids, a file for each segment and instant")
    add("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(command=_backtest)


def _add_explain(commands: Any) -> None:
    parser = _add(commands, "explain", "Show how an expression is run: its leaves, indexes, bounds and cost.")
    parser.add_argument("subject", metavar="FILE|TEXT", help="a .pql or YAML file, or the text of an expression")
    parser.add_argument("--schema", type=Path, metavar="FILE", help="a JSON Schema to check names and types against")
    parser.set_defaults(command=_explain)


def _add_check(commands: Any) -> None:
    parser = _add(commands, "check", "Check definitions: exit code 0 if all are right, 1 if not.")
    parser.add_argument("paths", nargs="+", metavar="DIR|FILE", type=Path)
    parser.add_argument("--schema", type=Path, metavar="FILE", help="a JSON Schema to check names and types against")
    parser.set_defaults(command=_check)


def _test(options: argparse.Namespace) -> int:
    from shared.cli.segments.testing import report
    from shared.cli.segments.testing.format import read_test_file
    from shared.cli.segments.testing.runner import run_test_file

    outcomes: list[report.Outcome] = []
    for path in options.files:
        try:
            outcomes.append(run_test_file(read_test_file(path)))
        except WrongInput as error:
            outcomes.append((str(path), str(error)))
    if options.format == "json":
        print(json.dumps(report.as_json(outcomes), indent=2, ensure_ascii=False))
    else:
        print(report.as_text(outcomes))
    return report.exit_code(outcomes)


def _backtest(options: argparse.Namespace) -> int:
    # Arrow takes a moment to load, which those who run tests need not wait for.
    from shared.cli.segments.backtest.command import run_backtest

    return run_backtest(options)


def _explain(options: argparse.Namespace) -> int:
    print(explain_text(options.subject, options.schema))
    return 0


def _check(options: argparse.Namespace) -> int:
    checked, problems = check_paths(options.paths, options.schema)
    for problem in problems:
        print(problem)
    verdict = counted(len(problems), "problem") if problems else "all right"
    print(f"{counted(checked, 'definition')}: {verdict}")
    return 1 if problems else 0
