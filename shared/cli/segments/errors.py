"""The one error that the commands below `freshet segments` show to people."""

from shared.kernel.errors import FreshetError


class WrongInput(FreshetError):
    """A file or an option is not what it should be; the message says where and what was expected. Exit code 2."""
