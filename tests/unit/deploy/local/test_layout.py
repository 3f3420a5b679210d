import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from deploy.local.errors import PlatformError
from deploy.local.layout import Layout

_Usage = namedtuple("_Usage", "total used free")


def test_the_socket_lies_in_the_home_when_its_path_is_short() -> None:
    assert Layout(Path("/srv/freshet")).supervisor_socket == Path("/srv/freshet/run/supervisor.sock")


def test_a_deep_home_has_its_socket_under_a_short_path() -> None:
    deep = Layout(Path("/srv") / ("very-deep-" * 20))
    other = Layout(Path("/srv") / ("just-deep-" * 20))

    assert len(str(deep.supervisor_socket)) < 100
    assert deep.supervisor_socket != other.supervisor_socket


def test_a_home_below_a_file_is_refused_with_the_variable_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(PlatformError, match=r"cannot be written: .* choose another folder with FRESHET_LOCAL_HOME"):
        Layout(tmp_path / "file" / "home").prepare(disk_free_mb_min=0)


def test_a_nearly_full_disk_is_refused_with_the_room_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(10**12, 10**12, 300 * 1024 * 1024))

    with pytest.raises(PlatformError, match="has 300 MiB free, expected at least 1024"):
        Layout(tmp_path).prepare(disk_free_mb_min=1024)
