"""The demo's home: what is removed, and what never is."""

from pathlib import Path

import pytest

from deploy.demo import home
from deploy.demo.errors import UsageError
from deploy.local.layout import Layout
from deploy.local.settings import LocalSettings


def _settings(folder: Path) -> LocalSettings:
    return LocalSettings(home=folder, disk_free_mb_min=0)


def _leave_data(settings: LocalSettings, content: bytes = b"records") -> Path:
    log = Layout(settings.home).kafka / "data" / "inbound-3" / "00000000000000000000.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(content)
    return log


def test_an_unused_home_is_taken_without_a_word(tmp_path: Path) -> None:
    said: list[str] = []

    home.make_fresh(_settings(tmp_path / "new"), said.append)

    assert [] == said


def test_what_an_earlier_demo_left_is_removed_and_said_so(tmp_path: Path) -> None:
    settings, said = _settings(tmp_path), list[str]()
    home.make_fresh(settings, said.append)
    log = _leave_data(settings)

    home.make_fresh(settings, said.append)

    assert not log.exists()
    assert ["removed what was here before: each demo begins with an empty system"] == said


def test_data_that_no_demo_made_is_refused_and_kept(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    log = _leave_data(settings)

    with pytest.raises(UsageError, match=r"holds data that no demo made.*make down clean"):
        home.make_fresh(settings, lambda _: None)

    assert log.exists()


def test_a_system_that_was_only_started_is_taken(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    log = _leave_data(settings, b"")

    home.make_fresh(settings, lambda _: None)

    assert not log.exists()
