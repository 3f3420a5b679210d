"""What stops the embedded platform, in words for the person at the terminal."""


class PlatformError(Exception):
    """The platform cannot do what was asked; the message says what, why and what to do next.

    The command line prints the message alone and exits with 1.
    """
