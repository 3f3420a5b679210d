from pathlib import Path

import pytest

from deploy.local.errors import PlatformError
from deploy.local.java import find_java


def _fake_java(home: Path, version: str) -> None:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-01-20' >&2\n")
    java.chmod(0o755)


def test_the_bundled_runtime_is_new_enough() -> None:
    assert find_java("bundled").version >= 17


def test_a_system_runtime_is_found_by_java_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_java(tmp_path, "21.0.4")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    found = find_java("system")

    assert (found.path, found.version) == (tmp_path / "bin" / "java", 21)


def test_too_old_and_broken_runtimes_are_named_in_the_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_java(tmp_path / "old", "1.8.0_402")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "java").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "broken" / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'broken'}:/usr/bin:/bin")

    with pytest.raises(PlatformError, match=r"old/bin/java: version 8; .*broken/java: does not run\. Install"):
        find_java("system")
