"""Reads the logs of one platform: their ends, and what is added to them."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

_POLL_S = 0.3
_LINE_BYTES_GUESS = 400


def tail(path: Path, lines: int) -> list[str]:
    """Returns the last lines of a log, fewer if it is shorter; an absent file has none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _LINE_BYTES_GUESS * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def follow(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Returns (program, line) of all that is added from this call on, without end; goes on through rotation."""
    followers = [_Follower(path) for path in paths]
    for follower in followers:
        follower.open_at_end()
    return _new_lines(followers)


def _new_lines(followers: Sequence["_Follower"]) -> Iterator[tuple[str, str]]:
    while True:
        found = False
        for follower in followers:
            for line in follower.new_lines():
                found = True
                yield follower.path.stem, line
        if not found:
            time.sleep(_POLL_S)


@dataclass
class _Follower:
    path: Path
    _file: BufferedReader | None = None
    _rest: bytes = b""

    def open_at_end(self) -> None:
        if self._reopen() and self._file:
            self._file.seek(0, os.SEEK_END)

    def new_lines(self) -> list[str]:
        if self._file is None and not self._reopen():
            return []
        assert self._file is not None
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        if not whole and self._was_rotated():
            self._file.close()
            self._file = None
        return [line.decode(errors="replace") for line in whole]

    def _reopen(self) -> bool:
        try:
            self._file = self.path.open("rb")
        except OSError:
            return False
        return True

    def _was_rotated(self) -> bool:
        assert self._file is not None
        opened = os.fstat(self._file.fileno())
        try:
            current = self.path.stat()
        except OSError:
            return False
        return current.st_ino != opened.st_ino or current.st_size < self._file.tell()
