"""What is wrong with a command's options is told before anything is connected to."""

from pathlib import Path

import pytest

from shared.cli.__main__ import main

NOWHERE = ["--kafka", "127.0.0.1:1"]
STATE = ["--stage", "segmentation", "--redis", "redis://127.0.0.1:1/0", *NOWHERE]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "text.fsnap").write_text("not a snapshot")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["state", "restore", "--input", "none.fsnap", *STATE], 2, "there is no file none.fsnap"),
        (
            ["state", "restore", "--input", "text.fsnap", *STATE],
            1,
            "is no whole snapshot: it is too short",
        ),
        (["state", "rebuild", "--to", "green", "--from", "none.fsnap", *STATE], 2, "there is no file none.fsnap"),
        (["state", "rebuild", "--to", "a{b}", *STATE], 2, "'a{b}' is no namespace: "),
        (["state", "verify", "--namespace", "", *STATE], 2, "FRESHET_CLI_REDIS_NAMESPACE"),
        (["state", "switch", "--to", "freshet", *STATE], 2, "--to names 'freshet', which is --namespace itself"),
        (["state", "backup", "--output", "none/copy.fsnap", *STATE], 2, "there is no folder none; name a file"),
        (["state", "backup", "--output", ".", *STATE], 2, "is a folder; name a file"),
        (["state", "verify", "--stage", "segmentation", "--redis", "http://x"], 2, "with TLS rediss://host:port/0"),
        (
            ["state", "verify", "--stage", "segmentation", "--redis", "redis+cluster://x"],
            2,
            "redis+cluster://host:port,",
        ),
        (["dlq", "show", "--topic", "events", "x", *NOWHERE], 2, "'x' is not PARTITION:OFFSET, such as 3:1024"),
        (["dlq", "purge", "--topic", "events", "--up-to", "3", *NOWHERE], 2, "'3' is not PARTITION:OFFSET"),
        (["dlq", "list", "--topic", "events", "--reason", "bad", *NOWHERE], 2, "'bad' is no reason; there are "),
        (["dlq", "list", "--topic", "events", "--offsets", "3-4", *NOWHERE], 2, "is not PARTITION:FROM-TO"),
        (["dlq", "list", "--topic", "events", "--limit", "0", *NOWHERE], 2, "--limit is 0; it must be 1 or more"),
    ],
)
def test_a_wrong_option_is_named_with_what_to_write(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    found = main(arguments)

    assert code == found
    assert said in capsys.readouterr().err
