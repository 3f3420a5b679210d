"""The command `freshet`, as far as it needs no running system."""

import json

import pytest

from shared.cli.__main__ import main


def test_events_are_written_as_json_lines_ready_for_the_topic(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["events", "--users", "20", "--limit", "5", "--events-dataset", "shop"])

    messages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (0, 5) == (code, len(messages))
    assert {"shop", "profiles"} == {message["header"]["datasetId"] for message in messages}


def test_a_service_that_does_not_answer_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.cli.__main__._PATIENCE_S", 0.0)

    code = main(["--url", "segmentation=http://127.0.0.1:9", "segments"])

    assert 1 == code
    assert "http://127.0.0.1:9/ups/segment/definitions: no answer within 0 s" in capsys.readouterr().err


def test_a_service_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--url", "nobody=http://127.0.0.1:9", "segments"])

    assert 2 == ended.value.code
    assert "is not SERVICE=URL with one of ingestion," in capsys.readouterr().err


def test_missing_data_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == main(["events", "--data", "/nowhere/at/all"])
    assert "should be a folder, found nothing there" in capsys.readouterr().err
