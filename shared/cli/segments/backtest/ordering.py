"""All events of some files in order of event time, in bounded memory."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from shared.cli.segments.backtest.events import Happening
from shared.cli.segments.backtest.mapping import EventMapping
from shared.cli.segments.backtest.reading import event_files, read_rows
from shared.cli.segments.backtest.sorting import Sorter
from shared.cli.segments.errors import WrongInput
from shared.cli.sources.ga4 import Ga4Source
from shared.cli.sources.luma import FILE, LumaSource
from shared.cli.sources.source import Datasets, Source, SourceError
from shared.kernel.clock import parse_instant


def ordered(path: Path, mapping: EventMapping, start: int | None, end: int | None) -> Iterator[Happening]:
    """The events in [start, end) (µs), by event time; events at one instant in the order in which they were read.

    Raises WrongInput for what cannot be read.
    """
    happenings = _of_source(path, mapping.source) if mapping.source else _of_rows(path, mapping)
    inside = (one for one in happenings if (start is None or one.at >= start) and (end is None or one.at < end))
    if mapping.source == "ga4":
        # The source sorts each day by itself, and days follow each other.
        yield from inside
        return
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(Happening).decode
    with Sorter() as sorter:
        for number, one in enumerate(inside):
            sorter.add(one.at, number.to_bytes(8, "big"), encode(one))
        for _, _, payload in sorter.sorted():
            yield decode(payload)


def _of_rows(path: Path, mapping: EventMapping) -> Iterator[Happening]:
    files = event_files(path, mapping.layout)
    before = taken = 0
    for file in files:
        number = 0
        for number, row in read_rows(file, mapping.layout):
            happening = mapping.happening(row, before + number, f"{file}:{number}")
            if happening is not None:
                taken += 1
                yield happening
        before += number
    if before and not taken:
        raise WrongInput(f"--events {path}: none of {before:,} rows has a profile id by the mapping {mapping.name}")


def _of_source(path: Path, name: str) -> Iterator[Happening]:
    if not path.exists():
        raise WrongInput(f"--events {path}: there is no such file or folder")
    folder = path if path.is_dir() else path.parent
    source: Source = LumaSource(folder) if name == "luma" else Ga4Source(folder)
    if path.is_file():
        if name == "luma" and path.name != FILE:
            raise WrongInput(f"--events {path}: the Luma data set is a file called {FILE}")
        if name == "ga4":
            # The files found are cached under this name; a single day is a shorter list of them.
            vars(source)["files"] = (path,)
    in_event_time = name == "ga4"
    try:
        for sent in source.read(Datasets("events", "profiles")):
            body = sent.message.body.xdm_entity
            at = sent.received_at if in_event_time else parse_instant(body["timestamp"])
            yield Happening(at, sent.identity.id, body["_id"], body.get("eventType", ""), body)
    except SourceError as error:
        raise WrongInput(str(error)) from error
