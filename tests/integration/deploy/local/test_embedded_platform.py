"""The platform with real Kafka and Redis under the real supervisor: one for all tests of this file."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.local import platform, probes, processes, topics
from deploy.local.errors import PlatformError
from deploy.local.layout import Layout
from deploy.local.services import address
from deploy.local.settings import CHECKOUT, PREFIX, LocalSettings
from shared.contracts.topics import physical_topics
from tests.integration.deploy.local.waiting import wait_until
from tests.support.platform import EmbeddedPlatform, free_settings

pytestmark = pytest.mark.platform


@dataclass(frozen=True)
class _Topic:
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedPlatform]:
    with EmbeddedPlatform.started() as running:
        yield running


def _run(settings: LocalSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line with these settings in its environment."""
    variables = {PREFIX + name.upper(): str(value) for name, value in settings.model_dump(mode="json").items()}
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=100,
    )


async def _produce(bootstrap_servers: str, topic: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, key=b"one person")


async def _consume(bootstrap_servers: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(30):
        return [(await consumer.getone()).value for _ in range(count)]


def _kill_and_wait(embedded: EmbeddedPlatform, program: str) -> None:
    killed = embedded.pid(program)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: embedded.pid(program) not in (0, killed), f"{program} is started again")
    platform.wait_ready(embedded.settings, [program])


def test_it_starts_from_nothing_with_every_declared_topic(embedded: EmbeddedPlatform) -> None:
    found = asyncio.run(topics.progress(embedded.kafka_bootstrap_servers))

    declared = {name: topic.partitions for name, topic in physical_topics().items()}
    assert declared.items() <= {topic.name: topic.partitions for topic in found}.items()


def test_what_is_produced_is_consumed(embedded: EmbeddedPlatform) -> None:
    asyncio.run(_produce(embedded.kafka_bootstrap_servers, "scores", [b"1", b"2", b"3"]))

    consumed = asyncio.run(_consume(embedded.kafka_bootstrap_servers, "scores", 3))

    assert consumed == [b"1", b"2", b"3"]


def test_a_killed_broker_comes_back_with_its_records(embedded: EmbeddedPlatform) -> None:
    values = [str(number).encode() for number in range(50)]
    asyncio.run(_produce(embedded.kafka_bootstrap_servers, "inbound", values))

    _kill_and_wait(embedded, "kafka")

    assert asyncio.run(_consume(embedded.kafka_bootstrap_servers, "inbound", 50)) == values
    asyncio.run(_produce(embedded.kafka_bootstrap_servers, "inbound", [b"after"]))


def test_a_killed_redis_comes_back_with_its_data(embedded: EmbeddedPlatform) -> None:
    with redis.Redis.from_url(embedded.redis_url) as client:
        client.set("kept", "yes")

    _kill_and_wait(embedded, "redis")

    with redis.Redis.from_url(embedded.redis_url) as client:
        assert client.get("kept") == b"yes"


def test_redis_never_evicts(embedded: EmbeddedPlatform) -> None:
    with redis.Redis.from_url(embedded.redis_url, decode_responses=True) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_only_loopback_is_listened_on(embedded: EmbeddedPlatform) -> None:
    connections = [
        connection
        for process in processes.owned_by(embedded.home)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]

    hosts = {connection.laddr.ip.removeprefix("::ffff:") for connection in connections}

    assert hosts == {"127.0.0.1"}


def test_a_topic_that_nobody_declared_does_not_appear(embedded: EmbeddedPlatform) -> None:
    async def produce_briefly() -> None:
        async with asyncio.timeout(3):
            await _produce(embedded.kafka_bootstrap_servers, "undeclared", [b"lost"])

    with contextlib.suppress(KafkaError, TimeoutError):
        asyncio.run(produce_briefly())

    assert "undeclared" not in [topic.name for topic in asyncio.run(topics.progress(embedded.kafka_bootstrap_servers))]


def test_a_second_start_changes_nothing(embedded: EmbeddedPlatform) -> None:
    before = {process.pid for process in processes.owned_by(embedded.home)}

    platform.start(embedded.settings, services=[])

    assert {process.pid for process in processes.owned_by(embedded.home)} == before


def test_topics_are_created_once(embedded: EmbeddedPlatform) -> None:
    wanted = {"once": _Topic(partitions=3, config={"cleanup.policy": "compact"})}

    first = asyncio.run(topics.create(embedded.kafka_bootstrap_servers, wanted))
    second = asyncio.run(topics.create(embedded.kafka_bootstrap_servers, wanted))

    assert (first, second) == (["once"], [])


def test_a_topic_with_another_partition_count_is_refused(embedded: EmbeddedPlatform) -> None:
    with pytest.raises(PlatformError, match="The topic events has 8 partitions, expected 16"):
        asyncio.run(topics.create(embedded.kafka_bootstrap_servers, {"events": _Topic(partitions=16)}))


def test_a_setting_that_the_broker_does_not_know_is_refused_with_its_words(embedded: EmbeddedPlatform) -> None:
    wrong = {"wrong": _Topic(partitions=1, config={"cleanup.policy": "burn"})}

    with pytest.raises(PlatformError, match=r"Kafka refused to create the topic wrong: .*burn"):
        asyncio.run(topics.create(embedded.kafka_bootstrap_servers, wrong))


def test_status_lists_what_runs(embedded: EmbeddedPlatform) -> None:
    shown = _run(embedded.settings, "status")

    assert shown.returncode == 0, shown.stderr
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines()}
    assert rows["kafka"][2] == str(embedded.pid("kafka"))
    assert rows["redis"][-2:] == ["yes", str(embedded.settings.redis_port)]


def test_topics_shows_end_offsets_and_what_a_group_has_still_to_read(embedded: EmbeddedPlatform) -> None:
    async def read_one_of_three() -> None:
        servers = embedded.kafka_bootstrap_servers
        await _produce(servers, "outcomes-of-lag", [b"1", b"2", b"3"])
        consumer = AIOKafkaConsumer(
            "outcomes-of-lag", bootstrap_servers=servers, group_id="reader", auto_offset_reset="earliest"
        )
        async with consumer, asyncio.timeout(30):
            await consumer.getmany(timeout_ms=20_000, max_records=1)
            await consumer.commit()

    asyncio.run(topics.create(embedded.kafka_bootstrap_servers, {"outcomes-of-lag": _Topic(partitions=2)}))
    asyncio.run(read_one_of_three())

    shown = _run(embedded.settings, "topics")

    (row,) = [line for line in shown.stdout.splitlines() if line.startswith("outcomes-of-lag")]
    assert row.split() == ["outcomes-of-lag", "2", "3", "reader", "2"]


def test_logs_shows_the_end_of_a_log(embedded: EmbeddedPlatform) -> None:
    shown = _run(embedded.settings, "logs", "redis", "-n", "500")

    assert "Ready to accept connections" in shown.stdout


def test_clean_refuses_while_the_platform_runs(embedded: EmbeddedPlatform) -> None:
    refused = _run(embedded.settings, "clean")

    assert refused.returncode == 1
    assert "is running. Stop it first" in refused.stderr


def test_a_taken_port_is_refused_with_its_holder_and_the_setting_to_change(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        refused = _run(free_settings(tmp_path / "home", redis_port=port), "up", "--platform")

    assert refused.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken by " in refused.stderr
    assert f"(pid {os.getpid()}: " in refused.stderr
    assert "set FRESHET_LOCAL_REDIS_PORT to a free port" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_without_a_platform_the_commands_say_so(tmp_path: Path) -> None:
    settings = free_settings(tmp_path / "home")

    assert _run(settings, "status").returncode == 3
    assert _run(settings, "down").stdout == f"nothing runs at {settings.home}\n"
    assert _run(settings, "clean").stdout == f"nothing to remove at {settings.home}\n"
    assert "does not answer" in _run(settings, "topics").stderr


def test_a_killed_supervisor_leaves_processes_that_the_next_start_ends_and_down_leaves_none() -> None:
    with EmbeddedPlatform.started() as running:
        old = {running.pid("kafka"), running.pid("redis")}
        supervisor = int(Layout(running.home).supervisor_pid.read_text())
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: not platform.is_running(running.settings), "the supervisor is gone")

        started = _run(running.settings, "up", "--platform")
        new = {running.pid("kafka"), running.pid("redis")}
        stopped = _run(running.settings, "down")

        assert started.returncode == 0, started.stderr
        assert "ending 2 processes that a dead supervisor" in started.stdout
        assert old.isdisjoint(new)
        assert stopped.stdout.endswith("stopped 3 processes; none is left\n")
        assert processes.owned_by(running.home) == []
        assert not any(psutil.pid_exists(pid) for pid in old | new | {supervisor})
        assert probes.answers(address("kafka", running.settings)) is not None
        assert _run(running.settings, "clean").returncode == 0
        assert not running.home.exists()
