"""A broker with a TLS and SASL listener beside the plain one: certificates and users are made for the test."""

import asyncio
import contextlib
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from deploy.local import java, kafka, kafka_jars, topics
from deploy.local.layout import Layout
from deploy.local.settings import LocalSettings
from shared.contracts.topics import physical_topics
from tests.support.platform import free_ports, free_settings
from tests.support.waiting import eventually

USER, PASSWORD = "freshet", "open sesame"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class SecuredBroker:
    """`plain` and `secured` are bootstrap addresses of one broker; `cafile` is the root that signed its certificate."""

    plain: str
    secured: str
    cafile: Path

    @classmethod
    @contextlib.contextmanager
    def started(cls) -> Iterator["SecuredBroker"]:
        """Runs the broker for the block, with every topic made."""
        with tempfile.TemporaryDirectory(prefix="freshet-test-") as home:
            settings = free_settings(Path(home))
            port = free_ports(1)[0]
            Layout(settings.home).prepare(0)
            cafile, keystore = _certificates(Path(home))
            properties = kafka.server_properties(settings) | _secured(settings, port, keystore)
            with _running(settings, properties):
                broker = cls(settings.kafka_bootstrap_servers, f"{settings.host}:{port}", cafile)
                asyncio.run(eventually(broker._answers, "the secured broker", 60))
                yield broker

    async def _answers(self) -> bool:
        with contextlib.suppress(Exception):  # not up yet, in any of many ways
            await topics.create(self.plain, physical_topics())
            return True
        return False


def _certificates(folder: Path) -> tuple[Path, Path]:
    """Writes the root, and the broker's key (PKCS#8, which is what Kafka reads) with its chain."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cafile, keystore = folder / "ca.pem", folder / "broker.pem"
    authority.cert_pem.write_to_path(str(cafile))
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    keystore.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)
    return cafile, keystore


def _secured(settings: LocalSettings, port: int, keystore: Path) -> dict[str, str]:
    """The properties of the second listener, to go over those of the embedded broker."""
    plain = kafka.server_properties(settings)
    secured = f"SECURED://{settings.host}:{port}"
    of_listener = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "plain.sasl.jaas.config": f'{_PLAIN} required user_{USER}="{PASSWORD}";',
        "scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
    }
    return {
        "listeners": f"{plain['listeners']},{secured}",
        "advertised.listeners": f"{plain['advertised.listeners']},{secured}",
        "listener.security.protocol.map": f"{plain['listener.security.protocol.map']},SECURED:SASL_SSL",
        **{f"listener.name.secured.{name}": value for name, value in of_listener.items()},
    }


@contextlib.contextmanager
def _running(settings: LocalSettings, properties: dict[str, str]) -> Iterator[None]:
    runtime, jars = java.find_java("auto"), kafka_jars.class_path(lambda _: None)
    *program, _, file = kafka.command(settings, runtime, jars)
    Path(file).write_text(kafka.render_properties(properties), encoding="ascii")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    scram = f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"
    arguments = ["format", "--cluster-id", _cluster_id(), "--config", file, "--add-scram", scram]
    subprocess.run(
        [*program, "kafka.tools.StorageTool", *arguments], env=environment, check=True, capture_output=True, timeout=120
    )
    command = [*program, "kafka.Kafka", file]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=settings.home
    ) as process:
        try:
            yield
        finally:
            process.kill()


def _cluster_id() -> str:
    return uuid.uuid4().hex[:22]
