"""Model files by content: a folder keyed by SHA-256, and a client that fetches what the folder lacks.

A file is written beside its place, flushed to disk and renamed, so that a crash leaves the old state or the new one.
Every read recomputes the digest: a file that rotted or was changed is refused, never run.
"""

import os
import tempfile
from hashlib import sha256
from pathlib import Path

import httpx

from shared.kernel.errors import Reason, Rejected, Retryable

__all__ = ["ArtifactClient", "ArtifactStore", "artifact_digest", "write_atomically"]

ARTIFACT_BYTES_MAX = 64 * 1024 * 1024
_CACHED_FILES_MAX = 32
_HEX = frozenset("0123456789abcdef")


def artifact_digest(raw: bytes) -> str:
    """Returns the artifact's name: the SHA-256 of its content in lower-case hex."""
    return sha256(raw).hexdigest()


def write_atomically(path: Path, raw: bytes) -> None:
    """Writes `raw` to `path` so that readers see the old content or the new, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".incoming-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class ArtifactStore:
    """Content-addressed files below a folder: `sha256/ab/abcd...`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, raw: bytes) -> str:
        """Stores `raw` and returns its digest. Storing the same content again changes nothing."""
        digest = artifact_digest(raw)
        path = self._path(digest)
        if not self.holds(digest):
            write_atomically(path, raw)
        return digest

    def holds(self, digest: str) -> bool:
        """Tells whether a sound file of this digest is stored."""
        try:
            self.get(digest)
        except Rejected:
            return False
        return True

    def get(self, digest: str) -> bytes:
        """Returns the content. Raises Rejected: `not_found`, or `model` when the file no longer has its digest."""
        path = self._path(digest)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise Rejected(f"artifact {digest} is not stored here", Reason.NOT_FOUND) from None
        if (found := artifact_digest(raw)) != digest:
            raise Rejected(
                f"artifact {digest} was changed on disk: its content now has digest {found}; "
                f"delete the file {path.name} and upload the version again",
                Reason.MODEL,
            )
        return raw

    def prune(self, files_max: int) -> None:
        """Deletes the files written longest ago beyond `files_max`; for stores that are caches."""
        files = [path for path in self._folder.glob("sha256/*/*") if path.is_file()]
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[:-files_max]:
            path.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        # The digest comes from outside and becomes a path: nothing but 64 hex digits may pass.
        if len(digest) != 64 or not set(digest) <= _HEX:
            raise Rejected(f"{digest[:80]!r} is not a SHA-256 digest of 64 lower-case hex digits", Reason.NOT_FOUND)
        return self._folder / "sha256" / digest[:2] / digest


class ArtifactClient:
    """Fetches artifacts by digest from the registry, keeping them in a local store that works without it."""

    def __init__(self, registry_url: str, cache: ArtifactStore, timeout_s: float = 10.0) -> None:
        self._url = registry_url.rstrip("/")
        self._cache = cache
        self._timeout_s = timeout_s

    async def fetch(self, digest: str) -> bytes:
        """Returns the content, from the local store if it is there and sound.

        Raises Retryable when the registry does not answer, Rejected when it sends something else than asked.
        """
        try:
            return self._cache.get(digest)
        except Rejected:
            pass  # missing or damaged here: the registry has the original
        raw = await self._download(digest)
        if (found := artifact_digest(raw)) != digest:
            raise Rejected(f"the registry sent content with digest {found} for artifact {digest}", Reason.MODEL)
        self._cache.put(raw)
        self._cache.prune(_CACHED_FILES_MAX)
        return raw

    async def _download(self, digest: str) -> bytes:
        url = f"{self._url}/artifacts/{digest}"
        try:
            async with (
                httpx.AsyncClient(timeout=self._timeout_s, trust_env=False) as client,
                client.stream("GET", url) as response,
            ):
                if response.status_code >= 400:
                    raise Retryable(f"the registry answered {response.status_code} for artifact {digest}")
                raw = bytearray()
                async for chunk in response.aiter_bytes():
                    raw += chunk
                    if len(raw) > ARTIFACT_BYTES_MAX:
                        raise Rejected(f"artifact {digest} is larger than {ARTIFACT_BYTES_MAX} bytes", Reason.TOO_BIG)
                return bytes(raw)
        except httpx.HTTPError as error:
            raise Retryable(f"the registry at {self._url} does not answer: {error!r}") from error
