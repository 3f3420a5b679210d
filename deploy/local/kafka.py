"""The embedded broker: one Apache Kafka process in KRaft mode, broker and controller in one."""

import base64
import hashlib
import os
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from deploy.local.errors import PlatformError
from deploy.local.java import Java
from deploy.local.layout import Layout
from deploy.local.settings import LocalSettings

_FORMAT_TIMEOUT_S = 120
_JVM_OPTIONS = (
    "-XX:+UseSerialGC",
    # The broker is short-lived and little loaded: the first compiler tier starts it a second sooner.
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    "-Dorg.slf4j.simpleLogger.levelInBrackets=true",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients=warn",
)


def server_properties(settings: LocalSettings) -> dict[str, str]:
    """Returns the broker's configuration: loopback only, no replication, no topic that nobody declared."""
    broker = f"{settings.host}:{settings.kafka_port}"
    controller = f"{settings.host}:{settings.kafka_controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(_data(settings)),
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        # With one broker the defaults of three copies would leave groups and transactions without their topics.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Fifty partitions each are made for clusters; a few start and recover sooner.
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.num.partitions": "8",
        "group.initial.rebalance.delay.ms": "300",
        # A killed broker may register again only when its old session has ended: 9 s by default.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "1000",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
        "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),
    }


def render_properties(properties: dict[str, str]) -> str:
    """Returns a Java properties file, which is Latin-1 with escapes for everything beyond ASCII."""
    return "".join(f"{key}={_escape(value)}\n" for key, value in properties.items())


def command(settings: LocalSettings, java: Java, jars: Sequence[Path]) -> list[str]:
    """Returns the command line of the broker."""
    return [*_java(settings.kafka_heap_mb, java, jars), "kafka.Kafka", str(_properties(settings))]


def prepare(settings: LocalSettings, java: Java, jars: Sequence[Path]) -> bool:
    """Writes the configuration and formats the log once; returns whether it was formatted now.

    A log that a killed broker left is kept as it is: the broker recovers it by itself.
    """
    _properties(settings).write_text(render_properties(server_properties(settings)), encoding="ascii")
    if (_data(settings) / "meta.properties").exists():
        return False
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
    arguments = ["format", "--cluster-id", cluster_id, "--config", str(_properties(settings)), "--ignore-formatted"]
    try:
        subprocess.run(
            [*_java(256, java, jars), "kafka.tools.StorageTool", *arguments],
            env={**os.environ, **environment(settings)},
            capture_output=True,
            text=True,
            timeout=_FORMAT_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        reason = said[-1] if said else f"exit code {error.returncode}"
        raise PlatformError(f"Kafka could not format its log in {_data(settings)}: {reason}") from error
    return True


def environment(settings: LocalSettings) -> dict[str, str]:
    """Returns variables of the broker's process.

    The locale lets the JVM name files beyond ASCII; the digest makes a changed configuration a changed program,
    which a running supervisor then restarts.
    """
    properties = render_properties(server_properties(settings))
    return {"LC_ALL": "C.UTF-8", "KAFKA_CONFIGURATION_SHA256": hashlib.sha256(properties.encode()).hexdigest()}


def _java(heap_mb: int, java: Java, jars: Sequence[Path]) -> list[str]:
    # Kafka still unmaps files through sun.misc.Unsafe, about which newer runtimes warn at every start.
    quiet = ["--sun-misc-unsafe-memory-access=allow"] if java.version >= 24 else []
    return [str(java.path), f"-Xmx{heap_mb}m", *_JVM_OPTIONS, *quiet, "-cp", os.pathsep.join(map(str, jars))]


def _data(settings: LocalSettings) -> Path:
    return Layout(settings.home).kafka / "data"


def _properties(settings: LocalSettings) -> Path:
    return Layout(settings.home).kafka / "server.properties"


def _escape(value: str) -> str:
    units = value.encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)
