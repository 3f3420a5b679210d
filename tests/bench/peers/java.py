"""Kafka Streams' jars by a committed lock with hashes, and the peer's Java source compiled where there is a compiler.

`python -m tests.bench.peers.java` rewrites the lock after a change of `ROOTS`.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from deploy.local.kafka_jars import class_path, read_lock, render_lock, resolve_lock

ROOTS = ("org.apache.kafka:kafka-streams:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
LOCK = Path(__file__).with_name("kafka_streams.lock.toml")
_SOURCE = Path(__file__).parent / "kafka_streams" / "Aggregate.java"
_COMPILE_LIMIT_S = 120


class NoCompilerError(Exception):
    """This machine has no Java compiler: the peer is left out."""


def compiled(folder: Path, report: Callable[[str], None]) -> list[str]:
    """Compiles into `folder`; returns the command up to the program's arguments. Raises NoCompilerError."""
    compiler = shutil.which("javac")
    if compiler is None:
        raise NoCompilerError(
            "there is no javac on PATH: install a JDK of version 17 or newer to measure Kafka Streams"
        )
    jars = os.pathsep.join(map(str, class_path(report, read_lock(LOCK))))
    subprocess.run(
        [compiler, "-cp", jars, "-d", str(folder), str(_SOURCE)],
        check=True,
        timeout=_COMPILE_LIMIT_S,
        capture_output=True,
        text=True,
    )
    # The runtime beside the compiler: it is at least as new as what has been compiled.
    java = Path(compiler).resolve().with_name("java")
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    return [str(java), "-Xmx1g", quiet, "-cp", os.pathsep.join((str(folder), jars)), "Aggregate"]


if __name__ == "__main__":
    LOCK.write_text(render_lock(resolve_lock(ROOTS), ROOTS, "tests.bench.peers.java"))
