"""The commands below `freshet segments`, from options to exit codes and files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.cli.__main__ import main

ROWS: list[dict[str, Any]] = [
    {"profile_id": "b", "_id": "3", "timestamp": "2026-01-03T00:00:00Z", "eventType": "view"},
    {"profile_id": "a", "_id": "1", "timestamp": "2026-01-01T00:00:00Z", "eventType": "buy", "order": {"total": 7.5}},
    {"profile_id": "a", "_id": "2", "timestamp": "2026-01-02T00:00:00Z", "eventType": "view"},
    {"profile_id": "a", "_id": "2", "timestamp": "2026-01-02T00:00:00Z", "eventType": "view"},
]
MD5_A = hashlib.md5(b"a").hexdigest()


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "buyers.pql").write_text('xEvent[eventType = "buy"].sum(order.total) > 7')
    (folder / "viewed.pql").write_text('// at least once\nxEvent[eventType = "view"].count() = 1')
    return folder


def backtest(definitions: Path, events: Path, *more: str) -> dict[str, object]:
    output = definitions.parent / "out.json"
    given = {"--definitions": definitions, "--events": events, "--output": output}
    options = [str(part) for pair in given.items() for part in pair]
    code = main(["segments", "backtest", *options, *more, "--quiet"])
    assert code == 0
    document: dict[str, object] = json.loads(output.read_text())
    return document


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in ROWS[1]} for row in rows])


def write_events(folder: Path, form: str) -> Path:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    if form == "jsonl":
        path = folder / "events.jsonl"
        path.write_bytes(lines)
    elif form == "jsonl.zst":
        path = folder / "events.jsonl.zst"
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(lines)
    elif form == "folder of parquet":
        path = folder / "events"
        path.mkdir()
        pq.write_table(table(ROWS[:1]), path / "1.parquet")
        pq.write_table(table(ROWS[1:]), path / "2.parquet")
    else:
        path = folder / "events.parquet.zst"
        pq.write_table(table(ROWS), folder / "plain.parquet")
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write((folder / "plain.parquet").read_bytes())
    return path


@pytest.mark.parametrize("form", ["jsonl", "jsonl.zst", "folder of parquet", "parquet.zst"])
def test_the_same_events_have_the_same_members_in_every_format(tmp_path: Path, definitions: Path, form: str) -> None:
    found = backtest(definitions, write_events(tmp_path, form), "--at", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z")

    assert found["segments"] == {
        "buyers": [
            {"at": "2026-01-03T00:00:00Z", "count": 1, "md5": MD5_A},
            {"at": "2026-01-04T00:00:00Z", "count": 1, "md5": MD5_A},
        ],
        "viewed": [
            {"at": "2026-01-03T00:00:00Z", "count": 1, "md5": MD5_A},
            {"at": "2026-01-04T00:00:00Z", "count": 2, "md5": hashlib.md5(b"a\nb").hexdigest()},
        ],
    }


def test_nothing_before_the_beginning_is_seen(tmp_path: Path, definitions: Path) -> None:
    events = write_events(tmp_path, "jsonl")

    found = backtest(definitions, events, "--from", "2026-01-02", "--every", "1d", "--at", "2026-01-04")

    assert found["instants"] == ["2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]
    assert found["events"] == 3
    segments = found["segments"]
    assert isinstance(segments, dict)
    assert [0, 0] == [one["count"] for one in segments["buyers"]]


def test_members_and_transitions_are_written_as_asked(tmp_path: Path, definitions: Path) -> None:
    events, log, folder = write_events(tmp_path, "jsonl"), tmp_path / "log.jsonl", tmp_path / "members"

    backtest(definitions, events, "--at", "2026-01-04", "--transitions", str(log), "--members", str(folder))

    assert (folder / "20260104T000000Z" / "viewed.txt").read_bytes() == b"a\nb"
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [("2026-01-01T00:00:00Z", "a", "buyers"), ("2026-01-02T00:00:00Z", "a", "viewed")] == [
        (one["at"], one["profile"], one["segment"]) for one in told[:2]
    ]
    assert {
        "at": "2026-01-03T00:00:00Z",
        "profile": "b",
        "segment": "viewed",
        "change": "entered",
        "by_time": False,
    } in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backtest", "--definitions", "{d}", "--events", "/nowhere", "--output", "{o}"], "there is no such file"),
        (["backtest", "--definitions", "/nowhere", "--events", "{e}", "--output", "{o}"], "/nowhere does not exist"),
        (
            ["backtest", "--definitions", "{d}", "--events", "{e}", "--output", "{o}", "--at", "soon"],
            "--at soon: expected",
        ),
        (
            ["backtest", "--definitions", "{d}", "--events", "{e}", "--output", "{o}", "--every", "0s"],
            "--every 0s: a span",
        ),
        (
            ["backtest", "--definitions", "{d}", "--events", "{e}", "--output", "{o}", "--mapping", "no"],
            "shipped mappings",
        ),
        (
            ["backtest", "--definitions", "{d}", "--events", "{x}", "--output", "{o}"],
            "broken.jsonl:2: this line is no JSON",
        ),
        (["explain", "xEvent.count( >="], "text:1:15: syntax error"),
        (["explain", "nowhere.pql"], "nowhere.pql does not exist"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(
    tmp_path: Path, definitions: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(json.dumps(ROWS[0]) + "\n{\n")
    named = {"d": definitions, "e": write_events(tmp_path, "jsonl"), "o": tmp_path / "o.json", "x": broken}

    code = main(["segments", *(argument.format(**named) for argument in arguments)])

    assert 2 == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o.json").exists()


def test_an_unknown_option_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["segments", "test", "--formt", "json", "x.yaml"])

    assert 2 == ended.value.code
    assert capsys.readouterr().err == "freshet: unrecognized arguments: --formt; see `freshet --help`\n"


def test_definitions_are_checked_with_file_line_and_column(
    tmp_path: Path, definitions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (definitions / "wrong.pql").write_text("xEvent.count() >= 1\nand and")
    (definitions / "lost.pql").write_text('inSegment("nobody")')

    code = main(["segments", "check", str(definitions)])

    told = capsys.readouterr().out
    assert 1 == code
    assert f"{definitions}/wrong.pql:2:5: syntax error in `wrong`" in told
    assert "`lost` refers to `nobody`, which is no segment of these definitions" in told
    assert "4 definitions: 2 problems" in told


def test_test_files_end_with_the_exit_code_of_the_worst(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, failing, wrong = (tmp_path / f"{name}.yaml" for name in ("good", "failing", "wrong"))
    good.write_text("segments: {a: 'xEvent.count() > 0'}\nsteps:\n  - event: {profile: u1}\n  - expect: {a: [u1]}\n")
    failing.write_text(good.read_text().replace("a: [u1]", "a: []"))
    wrong.write_text("stpes: []\n")

    codes = [main(["segments", "test", *map(str, files)]) for files in ([good], [good, failing], [failing, wrong])]
    capsys.readouterr()
    main(["segments", "test", "--format", "json", str(good), str(wrong)])

    assert [0, 1, 2] == codes
    document = json.loads(capsys.readouterr().out)
    assert [True, False] == [file["ok"] for file in document["files"]]
    assert "unknown key `stpes` in the file; did you mean `steps`?" in document["files"][1]["error"]
