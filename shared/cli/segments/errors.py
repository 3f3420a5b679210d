"""The one error that the commands below `freshet segments` show to people."""

from shared.kernel.errors import FreshetError


class WrongInput(FreshetError):
    """A file or an option is not what it should be; the message says where and what was expected. Exit code 2."""


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
