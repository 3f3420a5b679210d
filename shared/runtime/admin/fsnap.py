"""The snapshot file (`.fsnap`): chunks of msgpack under zstd, then a manifest, then where the manifest lies.

    FSNAP1\\n | chunk | ... | manifest (JSON) | FSNAPEND, its offset (8 bytes), size (8 bytes), SHA-256 (32 bytes)

Every chunk holds entries of one kind of one partition, has its SHA-256 in the manifest and at most some MiB, so
that neither side ever holds more. The file appears under its name only when it is whole and on the disk.
"""

import hashlib
import os
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

import msgspec
from cramjam import zstd

from shared.kernel.errors import Fatal
from shared.runtime.admin.keyspace import Kind, StateEntry, ViewEntry

FORMAT = 1
_MAGIC = b"FSNAP1\n"
_END_MAGIC = b"FSNAPEND"
_END = struct.Struct(">8sQQ32s")
_CHUNK_BYTES = 1024 * 1024
_CHUNK_BYTES_MAX = 512 * 1024 * 1024
_LEVEL = 3

EntryKind = Literal["note", "hash", "string", "set", "state"]


class SnapshotFence(msgspec.Struct, frozen=True):
    """`offset`: everything up to it is contained; states may lie beyond, which replay skips. `clock`: log time, µs."""

    partition: int
    offset: int
    clock: int
    silent: bool = False


class SnapshotStage(msgspec.Struct, frozen=True):
    """One stage in the file. `counts`: entries by kind, those told twice by Redis counted twice."""

    stage: str
    namespace: str
    partitions: int
    fences: list[SnapshotFence]
    counts: dict[str, int]


class Chunk(msgspec.Struct, frozen=True):
    """Where entries of one kind lie. `sha256` is that of the compressed bytes."""

    stage: str
    partition: int
    kind: EntryKind
    entries: int
    offset: int
    size: int
    raw_size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a file holds. `created_at`: µs."""

    format: int
    created_at: int
    stages: list[SnapshotStage]
    chunks: list[Chunk]

    def stage(self, name: str) -> SnapshotStage | None:
        return next((stage for stage in self.stages if stage.stage == name), None)


class SnapshotWriter:
    """Writes beside `path` and renames at `finish`; leaving the block without it removes what was written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file: BinaryIO
        self._chunks: list[Chunk] = []
        self._stages: list[SnapshotStage] = []
        self._waiting: defaultdict[tuple[str, int, EntryKind], list[Any]] = defaultdict(list)
        self._bytes: defaultdict[tuple[str, int, EntryKind], int] = defaultdict(int)
        self.bytes_written = 0

    def __enter__(self) -> Self:
        self._file = self._unfinished.open("xb")
        self._put(_MAGIC)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._unfinished.unlink(missing_ok=True)

    def add(self, stage: str, partition: int, kind: EntryKind, entries: Sequence[StateEntry | ViewEntry]) -> None:
        """Adds entries; they reach the file in chunks of about 1 MiB."""
        place = (stage, partition, kind)
        self._waiting[place].extend(entries)
        self._bytes[place] += sum(_size(entry) for entry in entries)
        if self._bytes[place] >= _CHUNK_BYTES:
            self._flush(place)

    def end_part(self) -> None:
        """Writes what waits: chunks of the next part come after all of this one."""
        for place in list(self._waiting):
            self._flush(place)

    def add_stage(self, stage: SnapshotStage) -> None:
        self._stages.append(stage)

    def finish(self, created_at: int) -> Manifest:
        """Writes the manifest, brings the file to the disk and gives it its name."""
        self.end_part()
        manifest = Manifest(FORMAT, created_at, self._stages, self._chunks)
        raw, offset = msgspec.json.encode(manifest), self.bytes_written
        self._put(raw)
        self._put(_END.pack(_END_MAGIC, offset, len(raw), hashlib.sha256(raw).digest()))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._unfinished.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return manifest

    def _flush(self, place: tuple[str, int, EntryKind]) -> None:
        entries = self._waiting.pop(place, [])
        self._bytes.pop(place, None)
        if not entries:
            return
        raw = msgspec.msgpack.encode(entries)
        packed = bytes(zstd.compress(raw, _LEVEL))
        digest = hashlib.sha256(packed).hexdigest()
        self._chunks.append(Chunk(*place, len(entries), self.bytes_written, len(packed), len(raw), digest))
        self._put(packed)

    def _put(self, raw: bytes) -> None:
        self._file.write(raw)
        self.bytes_written += len(raw)


class SnapshotFile:
    """A finished file. Raises Fatal when it is damaged, cut short or of another format."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = self._read_manifest()

    def verify(self) -> None:
        """Reads every chunk and compares its digest: nothing is restored from a file that is not whole."""
        for chunk in self.manifest.chunks:
            self._packed(chunk)

    def states(self, stage: str) -> Iterator[tuple[int, list[StateEntry]]]:
        for chunk, raw in self._chunks(stage, "state"):
            yield chunk.partition, msgspec.msgpack.decode(raw, type=list[StateEntry])

    def views(self, stage: str, kind: Kind) -> Iterator[tuple[int, list[ViewEntry]]]:
        for chunk, raw in self._chunks(stage, kind):
            yield chunk.partition, msgspec.msgpack.decode(raw, type=list[ViewEntry])

    def _chunks(self, stage: str, kind: EntryKind) -> Iterator[tuple[Chunk, bytes]]:
        for chunk in self.manifest.chunks:
            if (chunk.stage, chunk.kind) == (stage, kind):
                packed = self._packed(chunk)
                if chunk.raw_size > _CHUNK_BYTES_MAX:
                    raise self._damaged(f"a chunk claims {chunk.raw_size} bytes")
                yield chunk, bytes(zstd.decompress(packed, chunk.raw_size))

    def _packed(self, chunk: Chunk) -> bytes:
        with self.path.open("rb") as file:
            file.seek(chunk.offset)
            packed = file.read(chunk.size)
        if hashlib.sha256(packed).hexdigest() != chunk.sha256:
            what = f"{chunk.stage} {chunk.partition} {chunk.kind}"
            raise self._damaged(f"the chunk at byte {chunk.offset} ({what}) is not what was written")
        return packed

    def _read_manifest(self) -> Manifest:
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < len(_MAGIC) + _END.size:
                raise self._damaged("it is too short")
            file.seek(size - _END.size)
            magic, offset, length, digest = _END.unpack(file.read(_END.size))
            if magic != _END_MAGIC or offset + length > size:
                raise self._damaged("its end is missing")
            file.seek(offset)
            raw = file.read(length)
        if hashlib.sha256(raw).digest() != digest:
            raise self._damaged("its manifest is not what was written")
        manifest = msgspec.json.decode(raw, type=Manifest)
        if manifest.format != FORMAT:
            raise Fatal(
                f"{self.path} has format {manifest.format}, this version reads {FORMAT}: use the one that wrote it"
            )
        return manifest

    def _damaged(self, what: str) -> Fatal:
        return Fatal(f"{self.path} is no whole snapshot: {what}; take another copy")


def _size(entry: StateEntry | ViewEntry) -> int:
    if isinstance(entry, StateEntry):
        return len(entry.key) + len(entry.framed or b"") + 16
    return len(entry.name) + sum(map(len, entry.members)) + 16
