"""Rows out of files: Parquet, JSON Lines, CSV and columns set apart by blanks, compressed or not."""

import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from shared.cli.segments.errors import WrongInput
from shared.cli.segments.located import reason_of

Row = dict[str, Any]

FORMATS = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".txt": "text",
}
_COMPRESSIONS = {".zst": "zstd", ".gz": "gzip"}
_BATCH_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class Layout:
    """How files are to be read where their names do not tell. `columns` names those of files without a header."""

    format: str | None = None
    columns: tuple[str, ...] = ()
    delimiter: str = ","


def event_files(path: Path, layout: Layout) -> list[Path]:
    """The file, or the files of a folder that can be read, by name. Raises WrongInput if there are none."""
    if not path.exists():
        raise WrongInput(f"--events {path}: there is no such file or folder")
    if path.is_file():
        format_of(path, layout)
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and _plain(file).suffix in FORMATS)
    if not files:
        known = ", ".join(FORMATS)
        raise WrongInput(f"--events {path} holds no files that can be read ({known}, each also with .zst or .gz)")
    return files


def format_of(path: Path, layout: Layout) -> str:
    """The format of a file. Raises WrongInput if nothing tells it."""
    found = layout.format or FORMATS.get(_plain(path).suffix)
    if found is None:
        raise WrongInput(f"{path}: the name does not tell the format; say `format` in a mapping file")
    return found


def read_rows(path: Path, layout: Layout) -> Iterator[tuple[int, Row]]:
    """The rows of a file with their numbers (from 1, in text files that of the line). Raises WrongInput."""
    readers = {"parquet": _parquet, "jsonl": _json_lines, "csv": _csv, "text": _text}
    try:
        yield from readers[format_of(path, layout)](path, layout)
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise WrongInput(f"{path} cannot be read: {reason_of(error)}") from error


def _plain(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in _COMPRESSIONS else path


def _open(path: Path) -> IO[bytes]:
    compression = _COMPRESSIONS.get(path.suffix)
    stream: IO[bytes] = pa.input_stream(str(path), compression=compression) if compression else path.open("rb")
    return stream


def _lines(path: Path) -> Iterator[str]:
    with _open(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        yield from text


def _parquet(path: Path, layout: Layout) -> Iterator[tuple[int, Row]]:
    with TemporaryFile() as copy:
        source: Any = path
        if path.suffix in _COMPRESSIONS:
            # Parquet is read from its end, which a compressed stream has not.
            with _open(path) as stream:
                shutil.copyfileobj(stream, copy, 1 << 20)
            source = copy
        number = 0
        for batch in pq.ParquetFile(source).iter_batches(batch_size=_BATCH_ROWS):
            for row in _micros(pa.Table.from_batches([batch])).to_pylist():
                number += 1
                yield number, row


def _micros(table: pa.Table) -> pa.Table:
    """Instants in ns become µs: Python has no others."""
    for index, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            kind = pa.timestamp("us", column.type.tz)
            table = table.set_column(index, column.name, table.column(index).cast(kind, safe=False))
    return table


def _json_lines(path: Path, layout: Layout) -> Iterator[tuple[int, Row]]:
    decode = msgspec.json.Decoder(Row).decode
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            try:
                yield number, decode(line)
            except msgspec.DecodeError as error:
                raise WrongInput(f"{path}:{number}: this line is no JSON object: {error}") from error


def _csv(path: Path, layout: Layout) -> Iterator[tuple[int, Row]]:
    reader = csv.reader(_lines(path), delimiter=layout.delimiter)
    names: Sequence[str] = layout.columns or next(reader, [])
    for values in reader:
        if values:
            yield reader.line_num, _row(path, reader.line_num, names, values)


def _text(path: Path, layout: Layout) -> Iterator[tuple[int, Row]]:
    names: Sequence[str] = layout.columns
    for number, line in enumerate(_lines(path), start=1):
        values = line.split()
        if values and not names:
            names = values
        elif values:
            yield number, _row(path, number, names, values)


def _row(path: Path, number: int, names: Sequence[str], values: Sequence[str]) -> Row:
    if len(values) != len(names):
        raise WrongInput(f"{path}:{number}: expected {len(names)} columns ({', '.join(names)}), found {len(values)}")
    return {name: value for name, value in zip(names, values, strict=True) if value != ""}
