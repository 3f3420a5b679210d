"""Kafka's jars: named and hashed by the committed lock, fetched by Maven coordinate, verified before every start.

They live in the user's ordinary Maven repository, so checkouts share them and a second start needs no network.
`python -m deploy.local.kafka_jars` rewrites the lock after a change of `ROOTS`.
"""

import hashlib
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import jgo
import requests
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext

from deploy.local.errors import PlatformError

ROOTS = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
"""The broker, and the slf4j binding of the API version it uses: without one its log stays empty."""

LOCK = Path(__file__).with_name("kafka.lock.toml")
_FETCHES_AT_ONCE = 4
_FETCH_TIMEOUT_S = 30


@dataclass(frozen=True)
class LockedJar:
    """One jar by Maven coordinates, with the SHA-256 that its bytes must have."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    def path(self, repository: Path) -> Path:
        """Returns where a Maven repository keeps the jar."""
        folder = repository.joinpath(*self.group.split("."), self.artifact, self.version)
        return folder / f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path = LOCK) -> tuple[LockedJar, ...]:
    """Returns the locked jars in class path order."""
    return tuple(LockedJar(**jar) for jar in tomllib.loads(path.read_text())["jar"])


def render_lock(
    jars: Sequence[LockedJar], roots: Sequence[str] = ROOTS, module: str = "deploy.local.kafka_jars"
) -> str:
    """Returns the lock file's text; `module` is the program that writes it."""
    entries = (
        f'[[jar]]\ngroup = "{jar.group}"\nartifact = "{jar.artifact}"\n'
        f'version = "{jar.version}"\nsha256 = "{jar.sha256}"\n'
        for jar in jars
    )
    head = f"# Resolved from {' and '.join(roots)} by `python -m {module}`.\n"
    return "\n".join((head, *entries))


def class_path(
    report: Callable[[str], None], jars: Sequence[LockedJar] | None = None, repository: Path | None = None
) -> list[Path]:
    """Returns the verified jars, fetching those that the Maven repository lacks.

    Raises `PlatformError` for a jar whose bytes are not the locked ones (nothing is repaired silently: somebody
    changed it) and when a missing one cannot be fetched.
    """
    jars = read_lock() if jars is None else jars
    repository = repository or Path(GlobalSettings.load().repo_cache)
    missing = [jar for jar in jars if not jar.path(repository).exists()]
    if missing:
        report(f"fetching {len(missing)} of {len(jars)} jars (once; Kafka's are 44 MB in all)")
        _fetch(missing, repository)
    for jar in jars:
        _verify(jar, jar.path(repository))
    return [jar.path(repository) for jar in jars]


def _verify(jar: LockedJar, path: Path) -> None:
    found = _sha256(path)
    if found != jar.sha256:
        raise PlatformError(
            f"{path} is not the locked {jar.coordinates}: expected SHA-256 {jar.sha256}, found {found}. "
            "Delete that file and start again to fetch it anew."
        )


def _fetch(jars: Sequence[LockedJar], repository: Path) -> None:
    try:
        repository.mkdir(parents=True, exist_ok=True)
        # Fetched aside, verified, then moved: an interrupted fetch never leaves half a jar in the repository.
        with tempfile.TemporaryDirectory(prefix=".freshet-", dir=repository) as aside:
            context = _maven(Path(aside))
            with ThreadPoolExecutor(_FETCHES_AT_ONCE) as pool:
                list(pool.map(lambda jar: _fetch_one(jar, context, repository), jars))
    except requests.RequestException as error:
        raise PlatformError(
            f"{len(jars)} of Kafka's jars are not in {repository} and cannot be fetched from the Maven repository: "
            f"{type(error).__name__}. The first start needs a network connection (or a copy of that folder from a "
            "machine that has started once); later ones do not. Check the connection or proxy and start again."
        ) from error
    except OSError as error:
        raise PlatformError(
            f"The Maven repository {repository} cannot be written: {error}. "
            "Make it writable or choose another folder with M2_REPO."
        ) from error


def _fetch_one(jar: LockedJar, context: MavenContext, repository: Path) -> None:
    try:
        fetched = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except RuntimeError as error:
        raise PlatformError(f"{jar.coordinates} could not be fetched: {error}. Start again to retry.") from error
    _verify(jar, fetched)
    target = jar.path(repository)
    target.parent.mkdir(parents=True, exist_ok=True)
    fetched.replace(target)


def _maven(repository: Path) -> MavenContext:
    remotes = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    return MavenContext(repo_cache=repository, remote_repos=remotes, timeout=_FETCH_TIMEOUT_S)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve_lock(roots: Sequence[str] = ROOTS) -> list[LockedJar]:
    """Returns the lock that `roots` give today, transitive dependencies included; asks the Maven repository."""
    artifacts = jgo.resolve("+".join(roots), repositories=GlobalSettings.load().repositories)
    return [LockedJar(a.groupId, a.artifactId, a.version, _sha256(a.resolve())) for a in artifacts]


if __name__ == "__main__":
    LOCK.write_text(render_lock(resolve_lock()))
