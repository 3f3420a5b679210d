"""Sorting more than fits into memory: sorted runs on disk, merged while they are read."""

import heapq
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import BinaryIO, Self

BUFFER_BYTES = 64 * 1024 * 1024
"""Payload bytes held in memory before a run is written."""

RUNS_MAX = 100
"""Runs merged at once, each an open file; more are merged into one first."""

Item = tuple[int, bytes, bytes]
"""What is sorted: an instant (µs), a tie-breaker, and a payload."""

_ORDER = itemgetter(0, 1)
_HEAD = 16


class Sorter:
    """Takes items in any order, gives them back by instant, then tie-breaker. Leaving the context drops the files."""

    def __init__(self, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._buffer_bytes = buffer_bytes
        self._items: list[Item] = []
        self._bytes = 0
        self._runs: list[Path] = []
        self._number = 0
        self._folder: TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, at: int, tie: bytes, payload: bytes) -> None:
        """Take one item."""
        self._items.append((at, tie, payload))
        self._bytes += len(payload) + len(tie)
        if self._bytes >= self._buffer_bytes:
            self._spill()

    def _spill(self) -> None:
        self._items.sort(key=_ORDER)
        if len(self._runs) >= RUNS_MAX:
            merged = self._write(heapq.merge(*map(_read, self._runs), key=_ORDER))
            for run in self._runs:
                run.unlink()
            self._runs = [merged]
        self._runs.append(self._write(iter(self._items)))
        self._items, self._bytes = [], 0

    def _write(self, items: Iterator[Item]) -> Path:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="freshet-sort-")
        self._number += 1
        path = Path(self._folder.name) / f"run-{self._number}"
        with path.open("wb", buffering=1 << 20) as file:
            for at, tie, payload in items:
                file.write(at.to_bytes(8, "big", signed=True))
                file.write(len(tie).to_bytes(4, "big"))
                file.write(len(payload).to_bytes(4, "big"))
                file.write(tie)
                file.write(payload)
        return path

    def sorted(self) -> Iterator[Item]:
        """All items in order; call once, after the last `add`."""
        self._items.sort(key=_ORDER)
        if not self._runs:
            return iter(self._items)
        return heapq.merge(*map(_read, self._runs), self._items, key=_ORDER)


def _read(path: Path) -> Iterator[Item]:
    with path.open("rb", buffering=1 << 18) as file:
        while head := file.read(_HEAD):
            tie = file.read(int.from_bytes(head[8:12], "big"))
            yield int.from_bytes(head[:8], "big", signed=True), tie, _payload(file, head)


def _payload(file: BinaryIO, head: bytes) -> bytes:
    return file.read(int.from_bytes(head[12:16], "big"))
