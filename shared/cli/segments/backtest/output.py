"""What a backtest writes. Files appear whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from shared.cli.segments.backtest.runner import Snapshot
from shared.cli.segments.backtest.sorting import Sorter
from shared.cli.segments.errors import WrongInput
from shared.cli.segments.located import reason_of
from shared.kernel.clock import format_instant
from shared.pql import Change


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A file for writing that takes its name only when all is written. Raises WrongInput if that cannot be."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise WrongInput(f"{path} cannot be written: {reason_of(error)}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_members(folder: Path, snapshots: list[Snapshot]) -> None:
    """One file for each segment, `<folder>/<instant>/<segment>.txt`: ids by bytes, joined by newlines, none at the end,
    so that `md5sum` of the file is the md5 in the output."""
    for one in snapshots:
        with whole_file(folder / compact(one.at) / f"{one.segment}.txt") as file:
            file.write("\n".join(one.members))


def compact(at: int) -> str:
    """An instant as a file name: 20201229T120000Z."""
    return format_instant(at).replace("-", "").replace(":", "")


class TransitionLog:
    """Collects transitions as they are found and writes them by instant, profile and segment."""

    def __init__(self) -> None:
        self._sorter = Sorter()
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sorter.__exit__(kind, error, trace)

    def add(self, profile: str, changes: tuple[Change, ...]) -> None:
        """Take a profile's transitions."""
        for change in changes:
            self._number += 1
            tie = f"{profile}\0{change.segment_id}\0".encode() + self._number.to_bytes(8, "big")
            self._sorter.add(change.effective_at, tie, _line(profile, change))

    def write(self, path: Path) -> int:
        """Write all as JSON Lines; returns how many there are."""
        with whole_file(path) as file:
            for _, _, line in self._sorter.sorted():
                file.write(line.decode() + "\n")
        return self._number


def _line(profile: str, change: Change) -> bytes:
    told: dict[str, Any] = {
        "at": format_instant(change.effective_at),
        "profile": profile,
        "segment": change.segment_id,
        "change": "entered" if change.entered else "exited",
        "by_time": change.by_time,
    }
    return json.dumps(told, ensure_ascii=False).encode()
