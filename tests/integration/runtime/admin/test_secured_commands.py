"""The operator's commands where Kafka and Redis speak TLS only, with the settings that services use."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from services.segmentation.app import rebuild_stage
from shared.adapters.kafka import Message, Producer
from shared.adapters.redis import RedisClient
from shared.cli.__main__ import main
from shared.contracts.codec import encode
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS, KEYED_PARTITIONS
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.feed import FeedSettings, StageFeed
from shared.runtime.metrics import StageMetrics
from shared.runtime.settings import ServiceSettings
from tests.support.platform import EmbeddedPlatform
from tests.support.secured_broker import PASSWORD, USER, SecuredBroker
from tests.support.tls_proxy import TlsProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

TOTAL = 200
_COMMAND_LIMIT_S = 25.0


@pytest.fixture(scope="module")
def broker() -> Iterator[SecuredBroker]:
    with SecuredBroker.started() as started:
        yield started


class SecuredSettings(ServiceSettings, FeedSettings):
    """The settings of segmentation, as its environment would give them."""

    http_port: int = 0


@dataclass
class Operator:
    """A shell whose environment names brokers, Redis and their certificates."""

    settings: SecuredSettings
    proxy: TlsProxy
    shell: pytest.MonkeyPatch

    async def run(self, *arguments: str) -> int:
        """Runs a command, which may wait for no goodbye of the broker: that would take half a minute."""
        async with asyncio.timeout(_COMMAND_LIMIT_S):
            return await asyncio.to_thread(main, list(arguments))

    async def state(self, command: str, *arguments: str) -> int:
        where = [] if "--namespace" in arguments else ["--namespace", self.settings.redis_namespace]
        return await self.run("state", command, "--stage", "segmentation", *where, *arguments)


@pytest.fixture
async def operator(
    broker: SecuredBroker, platform: EmbeddedPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Operator]:
    host, _, port = platform.redis_url.removeprefix("redis://").split("/")[0].partition(":")
    async with TlsProxy.before(host, int(port), tmp_path) as proxy:
        named = {
            "kafka_bootstrap_servers": broker.secured,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": "SCRAM-SHA-256",
            "kafka_sasl_username": USER,
            "kafka_sasl_password": PASSWORD,
            "kafka_ssl_cafile": str(broker.cafile),
        }
        redis_url = f"rediss://127.0.0.1:{proxy.port}/0?ssl_ca_certs={proxy.cafile}"
        for name, value in named.items():
            monkeypatch.setenv(f"FRESHET_{name.upper()}", value)
        monkeypatch.setenv("FRESHET_CLI_REDIS_URL", redis_url)
        fields = {"redis_url": redis_url, "redis_namespace": uuid4().hex[:8], "clock": "stream"}
        yield Operator(SecuredSettings.model_validate(named | fields), proxy, monkeypatch)


async def decided(settings: SecuredSettings, redis: RedisClient) -> None:
    """Has segmentation decide on facts that it reads, like its definition, through TLS."""
    access = settings.kafka_access
    producer = Producer(access)
    await producer.start()
    twice = encode(SegmentDefinition("twice", "twice", "xEvent.count() >= 2", 1))
    for done in await producer.submit([Message("segment-definitions", 0, b"twice", twice)]):
        await done
    facts = [Fact(f"e{n}", "event", "t", f"p{n % 50}", n, n, body={"eventType": "look"}) for n in range(TOTAL)]
    for sent in [await producer.send(EVENTS, fact.profile_id, fact) for fact in facts]:
        assert sent.offset >= 0
    stage = await rebuild_stage(access, "")
    feed = StageFeed(stage, settings, producer, StageMetrics("segmentation", CollectorRegistry()), redis)
    await feed.start()
    space = Keyspace(redis.client, settings.redis_namespace, "segmentation", KEYED_PARTITIONS)

    async def applied() -> bool:
        return sum(fence.offset + 1 for fence in await space.fences()) >= TOTAL

    try:
        await eventually(applied, "all facts decided", 60)
    finally:
        await feed.stop()
        await producer.stop()


async def test_every_command_works_through_tls_on_both_sides(
    operator: Operator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redis = RedisClient(operator.settings.redis_url)
    copy, namespace = str(tmp_path / "copy.fsnap"), operator.settings.redis_namespace
    restored, rebuilt = f"{namespace}r", f"{namespace}g"
    await decided(operator.settings, redis)
    codes = [
        await operator.state("backup", "--output", copy),
        await operator.state("restore", "--input", copy, "--namespace", restored),
        await operator.state("verify", "--against", restored),
        await operator.state("rebuild", "--to", rebuilt),
        await operator.state("switch", "--to", rebuilt),
        await operator.state("drop", "--yes", "--namespace", restored),
        await operator.run("dlq", "list", "--topic", "events"),
        await operator.run("dlq", "replay", "--topic", "events", "--all"),
    ]
    capsys.readouterr()
    shown = await operator.state("verify", "--format", "json")
    answer = json.loads(capsys.readouterr().out)
    await redis.client.aclose()

    assert [0] * 9 == [*codes, shown]
    assert (rebuilt, 50) == (answer["namespace"], answer["counts"]["states"])


async def test_a_certificate_that_is_not_trusted_is_named_with_what_to_set(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.shell.setenv("FRESHET_CLI_REDIS_URL", f"rediss://127.0.0.1:{operator.proxy.port}/0")
    redis = await operator.state("verify"), capsys.readouterr().err
    operator.shell.setenv("FRESHET_CLI_REDIS_URL", f"rediss://127.0.0.1:{operator.proxy.port}/0?ssl_ca_certs=none.pem")
    no_file = await operator.state("verify"), capsys.readouterr().err
    operator.shell.setenv("FRESHET_KAFKA_SSL_CAFILE", str(operator.proxy.cafile))
    kafka = await operator.run("dlq", "list", "--topic", "events"), capsys.readouterr().err

    assert [1, 1, 1] == [redis[0], no_file[0], kafka[0]]
    assert "CERTIFICATE_VERIFY_FAILED" in redis[1]
    assert f"rediss://127.0.0.1:{operator.proxy.port}/0?ssl_ca_certs=FILE" in redis[1]
    assert "none.pem" in no_file[1]
    assert "Set KAFKA_SSL_CAFILE to the root that signed the broker's certificate" in kafka[1]
