"""Kafka behind TLS and SASL: producer, feed and Faust control app get through, and a wrong password is named."""

import asyncio
from collections.abc import Iterator
from typing import Any, Literal
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from services.training.adapters.event_log import KafkaEventLog
from shared.adapters.kafka import Message, Producer
from shared.adapters.kafka_log import newest_values
from shared.adapters.redis import RedisClient
from shared.cli.__main__ import main
from shared.contracts.models import TrainingRequest
from shared.contracts.topics import EVENTS, PROFILE_UPDATES, SEGMENT_DEFINITIONS, TRAINING_REQUESTS
from shared.kernel.errors import ExitCode
from shared.runtime.admin.keyspace import Keyspace
from shared.runtime.admin.rebuild import Rebuild
from shared.runtime.control import ControlHost, control_app
from shared.runtime.feed import FeedSettings, StageFeed
from shared.runtime.health import Health
from shared.runtime.metrics import StageMetrics
from shared.runtime.process import Process, run
from shared.runtime.settings import ServiceSettings
from tests.support.collector import collector_kept
from tests.support.counting import counting_stage
from tests.support.counting_run import numbered
from tests.support.platform import EmbeddedPlatform
from tests.support.secured_broker import PASSWORD, USER, SecuredBroker
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

Mechanism = Literal["PLAIN", "SCRAM-SHA-256"]


@pytest.fixture(scope="module")
def broker() -> Iterator[SecuredBroker]:
    with SecuredBroker.started() as started:
        yield started


class SecuredSettings(ServiceSettings, FeedSettings):
    """The settings of a stateful service, as its environment would give them."""

    http_port: int = 0


def settings_for(broker: SecuredBroker, platform: EmbeddedPlatform, **fields: object) -> SecuredSettings:
    secured: dict[str, object] = {
        "kafka_bootstrap_servers": broker.secured,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": "PLAIN",
        "kafka_sasl_username": USER,
        "kafka_sasl_password": PASSWORD,
        "kafka_ssl_cafile": str(broker.cafile),
        "redis_url": platform.redis_url,
        "redis_namespace": uuid4().hex[:8],
        "clock": "stream",
    }
    return SecuredSettings.model_validate(secured | fields)


def feed_of(settings: SecuredSettings, producer: Producer, redis: RedisClient) -> StageFeed[Any, Any]:
    return StageFeed(counting_stage(), settings, producer, StageMetrics("counting", CollectorRegistry()), redis)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_events_and_requests_pass_through_a_broker_with_tls_and_sasl(
    broker: SecuredBroker, platform: EmbeddedPlatform, mechanism: Mechanism
) -> None:
    settings = settings_for(broker, platform, kafka_sasl_mechanism=mechanism)
    facts, requested = numbered(200), list[str]()
    producer, redis = Producer(settings.kafka_access), RedisClient(settings.redis_url)
    app = control_app(f"secured-{uuid4().hex[:6]}", settings)

    @app.agent(app.topic(TRAINING_REQUESTS.name, value_serializer="raw"), name="secured.requests")
    async def requests(stream: Any) -> None:
        async for value in stream:
            requested.append(TRAINING_REQUESTS.codec.decode(value).id)

    services = (producer, redis, feed_of(settings, producer, redis), ControlHost(app, consumes=True))
    before = await ends(broker, PROFILE_UPDATES.name)
    request = TrainingRequest(uuid4().hex, "propensity", "{}", 0)
    try:
        for service in services:
            await service.start()
        for fact in facts:
            await producer.send(EVENTS, fact.profile_id, fact)
        await producer.send(TRAINING_REQUESTS, request.id, request)
        await eventually(lambda: outputs(broker, before + len(facts)), "an output per event", 60)
        await eventually(lambda: asyncio.sleep(0, request.id in requested), "the request at the Faust agent", 60)
    finally:
        for service in reversed(services):
            await service.stop()


async def ends(broker: SecuredBroker, topic: str) -> int:
    """Records in a topic, seen through the plain listener."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.plain)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(EVENTS.partitions)]
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()


async def outputs(broker: SecuredBroker, least: int) -> bool:
    return await ends(broker, PROFILE_UPDATES.name) >= least


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kafka_sasl_password": "wrong"}, "refuses user 'freshet' by PLAIN"),
        ({"kafka_sasl_password": "wrong", "kafka_sasl_mechanism": "SCRAM-SHA-256"}, "by SCRAM-SHA-256"),
        ({"kafka_sasl_mechanism": "SCRAM-SHA-512"}, "does not offer SASL mechanism SCRAM-SHA-512"),
        ({"kafka_ssl_cafile": ""}, "Set KAFKA_SSL_CAFILE"),
    ],
)
async def test_who_is_refused_ends_at_once_with_a_sentence_and_the_code_for_wrong_settings(
    broker: SecuredBroker, platform: EmbeddedPlatform, fields: dict[str, object], said: str
) -> None:
    settings = settings_for(broker, platform, **fields)
    producer, redis = Producer(settings.kafka_access, client_id="counting"), RedisClient(settings.redis_url)
    feed = feed_of(settings, producer, redis)
    process = Process("counting", settings, FastAPI(), Health(), [producer, redis, feed])

    with collector_kept(), capture_logs() as logs:
        async with asyncio.timeout(30):
            code = await run(process)

    assert code == ExitCode.CONFIGURATION
    assert [said in entry["error"] for entry in logs if entry["event"] == "fatal"] == [True]
    assert PASSWORD not in str(logs)


async def test_a_broker_that_is_not_there_is_a_reason_to_try_again(
    broker: SecuredBroker, platform: EmbeddedPlatform
) -> None:
    settings = settings_for(broker, platform, kafka_bootstrap_servers="127.0.0.1:1")
    process = Process(
        "counting", settings, FastAPI(), Health(), [Producer(settings.kafka_access, client_id="counting")]
    )

    with collector_kept(), capture_logs() as logs:
        async with asyncio.timeout(30):
            code = await run(process)

    assert code == ExitCode.RETRY
    assert ["counting cannot reach Kafka at 127.0.0.1:1" in entry["error"] for entry in logs if "error" in entry] == [
        True
    ]


@pytest.fixture
def operator(broker: SecuredBroker, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of an operator's shell. No option may hold the password: `ps` shows options to everybody."""
    for name, value in {
        "BOOTSTRAP_SERVERS": broker.secured,
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_MECHANISM": "SCRAM-SHA-256",
        "SASL_USERNAME": USER,
        "SASL_PASSWORD": PASSWORD,
        "SSL_CAFILE": str(broker.cafile),
    }.items():
        monkeypatch.setenv(f"FRESHET_KAFKA_{name}", value)
    return monkeypatch


async def test_commands_rebuilds_and_training_read_and_delete_through_tls_and_sasl(
    broker: SecuredBroker,
    platform: EmbeddedPlatform,
    operator: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = settings_for(broker, platform)
    access, redis = settings.kafka_access, RedisClient(settings.redis_url)
    producer = Producer(access)
    await producer.start()
    for sent in [await producer.send(EVENTS, fact.profile_id, fact) for fact in numbered(20)]:
        assert sent.offset >= 0
    for done in await producer.submit([Message(EVENTS.dlq_name, 0, b"k", b"refused")]):
        await done
    await producer.stop()
    total = await ends(broker, EVENTS.name)

    listed = await asyncio.to_thread(main, ["dlq", "list", "--topic", "events"])
    purged = await asyncio.to_thread(main, ["dlq", "purge", "--topic", "events", "--up-to", "0:0", "--yes"])
    space = Keyspace(redis.client, settings.redis_namespace, "counting", EVENTS.partitions)
    rebuilt = await Rebuild(counting_stage(), access, "", redis, space, None).catch_up()
    trained_on = sum([len(facts) async for part in KafkaEventLog(access, "").partitions() async for facts in part])
    definitions = await newest_values(access, SEGMENT_DEFINITIONS, "")
    said = capsys.readouterr().out
    await redis.client.aclose()

    assert [0, 0] == [listed, purged]
    assert "1 letter in events-dlq" in said
    assert "1 letter of events-dlq deleted" in said
    assert [total, total] == [rebuilt, trained_on]
    assert {} == definitions


async def test_an_operator_whom_kafka_refuses_is_told_what_to_correct(
    operator: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.setenv("FRESHET_KAFKA_SASL_PASSWORD", "wrong")

    code = await asyncio.to_thread(main, ["dlq", "list", "--topic", "events"])
    said = capsys.readouterr().err

    assert 1 == code
    assert "refuses user 'freshet' by SCRAM-SHA-256" in said
    assert "Correct KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD" in said
    assert "wrong" not in said
