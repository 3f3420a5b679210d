"""The `freshet` command. Every group of subcommands is a module that adds itself to the parser."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from shared.cli.segments import commands as segments
from shared.cli.segments.errors import WrongInput

WRONG = 2
INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one sentence, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(WRONG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 it did not hold, 2 wrong options or files."""
    parser = _Parser(prog="freshet", description="Work with Freshet from the command line.", allow_abbrev=False)
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    segments.add_to(groups)
    try:
        options = parser.parse_args(arguments)
        code: int = options.run(options)
        sys.stdout.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else WRONG
    except WrongInput as error:
        print(f"freshet: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("freshet: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output (`head`, a pager) has gone; the interpreter must not complain while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
