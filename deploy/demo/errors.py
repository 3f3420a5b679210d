"""What stops the demo, in words for the person at the terminal."""


class UsageError(Exception):
    """What was asked for cannot be done as asked: nothing has been started. Exit code 2."""


class DemoError(Exception):
    """The run failed on the way; the message says where to look. Exit code 1."""
