import hashlib
from pathlib import Path

import pytest
import requests

from deploy.local import kafka_jars
from deploy.local.errors import PlatformError
from deploy.local.kafka_jars import LOCK, ROOTS, LockedJar, class_path, read_lock, render_lock

_BYTES = b"a jar"
_JAR = LockedJar("org.example.deep", "thing", "1.2", hashlib.sha256(_BYTES).hexdigest())


def _ignore(_: str) -> None:
    pass


def _put(repository: Path, content: bytes) -> Path:
    path = repository / "org/example/deep/thing/1.2/thing-1.2.jar"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_the_lock_holds_the_roots_and_a_hash_for_every_jar() -> None:
    jars = read_lock()

    assert set(ROOTS) <= {jar.coordinates for jar in jars}
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)


def test_the_lock_names_no_host_and_no_path() -> None:
    text = LOCK.read_text()

    assert "://" not in text
    assert "/" not in text


def test_a_rendered_lock_reads_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "lock.toml").write_text(render_lock([_JAR]))

    assert read_lock(tmp_path / "lock.toml") == (_JAR,)


def test_a_jar_with_the_locked_bytes_is_used_where_it_lies(tmp_path: Path) -> None:
    path = _put(tmp_path, _BYTES)

    assert class_path(_ignore, [_JAR], tmp_path) == [path]


def test_a_tampered_jar_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = _put(tmp_path, b"another jar")

    with pytest.raises(PlatformError, match=f"{path} is not the locked org.example.deep:thing:1.2: expected SHA-256"):
        class_path(_ignore, [_JAR], tmp_path)

    assert path.read_bytes() == b"another jar"


def test_without_network_the_first_start_says_that_it_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A closed port of this machine stands for a network that is not there.
    monkeypatch.setattr(kafka_jars, "MAVEN_CENTRAL_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(PlatformError, match="The first start needs a network connection") as refused:
        class_path(_ignore, [_JAR], tmp_path / "repository")

    assert isinstance(refused.value.__cause__, requests.ConnectionError)
    assert list((tmp_path / "repository").iterdir()) == []
