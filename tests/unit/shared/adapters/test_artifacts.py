"""Model files by content: what is stored is what is read, or it is refused."""

import os
from pathlib import Path

import pytest

from shared.adapters.artifacts import ArtifactClient, ArtifactStore, artifact_digest
from shared.kernel.errors import Reason, Rejected, Retryable

NOBODY = "http://127.0.0.1:9"


def test_content_is_read_by_its_digest_and_stored_once(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    digests = {store.put(b"model"), store.put(b"model")}

    assert digests == {artifact_digest(b"model")}
    assert store.get(digests.pop()) == b"model"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_changed_file_is_refused_and_storing_it_again_heals_it(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    digest = store.put(b"model")
    file = tmp_path / "sha256" / digest[:2] / digest
    file.write_bytes(b"mode!")

    with pytest.raises(Rejected, match="was changed on disk") as caught:
        store.get(digest)
    store.put(b"model")

    assert caught.value.reason == Reason.MODEL
    assert store.get(digest) == b"model"


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "0" * 63, "0" * 65, "G" * 64, "0" * 62 + "/."])
def test_a_digest_that_is_none_never_becomes_a_path(tmp_path: Path, digest: str) -> None:
    with pytest.raises(Rejected) as caught:
        ArtifactStore(tmp_path).get(digest)

    assert caught.value.reason == Reason.NOT_FOUND


def test_a_cache_keeps_the_files_written_last(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    digests = [store.put(str(n).encode()) for n in range(5)]
    for age, digest in enumerate(reversed(digests)):
        os.utime(tmp_path / "sha256" / digest[:2] / digest, (1_000_000 - age, 1_000_000 - age))

    store.prune(2)

    assert [store.holds(digest) for digest in digests] == [False, False, False, True, True]


async def test_what_is_stored_needs_no_registry_and_what_is_not_says_so(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    client = ArtifactClient(NOBODY, store)

    assert await client.fetch(store.put(b"model")) == b"model"
    with pytest.raises(Retryable, match="does not answer"):
        await client.fetch(artifact_digest(b"other"))
