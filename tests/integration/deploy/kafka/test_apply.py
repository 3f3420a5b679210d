"""`python -m deploy.kafka.apply` makes every topic as declared, once."""

import asyncio
from uuid import uuid4

import pytest

from deploy.kafka import apply
from deploy.local.topics import progress
from shared.contracts.topics import physical_topics
from tests.support.platform import EmbeddedPlatform, free_ports

pytestmark = pytest.mark.platform


def test_every_topic_is_made_and_a_repeat_changes_nothing(
    platform: EmbeddedPlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = f"apply-{uuid4().hex[:8]}-"
    arguments = ["--bootstrap-servers", platform.kafka_bootstrap_servers, "--topic-prefix", prefix]

    codes = [apply.main(arguments), apply.main(arguments)]

    expected = {name: topic.partitions for name, topic in physical_topics(prefix).items()}
    assert codes == [0, 0]
    assert capsys.readouterr().out.startswith(f"created: {prefix}")
    assert asyncio.run(_seen(platform, prefix, len(expected))) == expected


async def _seen(platform: EmbeddedPlatform, prefix: str, count: int) -> dict[str, int]:
    """Returns the partition counts of the topics under `prefix`; a new topic takes a moment to be listed."""
    async with asyncio.timeout(20):
        while True:
            topics = await progress(platform.kafka_bootstrap_servers)
            found = {topic.name: topic.partitions for topic in topics if topic.name.startswith(prefix)}
            if len(found) == count:
                return found
            await asyncio.sleep(0.1)


def test_a_cluster_that_does_not_answer_is_told_by_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)

    code = apply.main(["--bootstrap-servers", f"127.0.0.1:{port}"])

    assert code == 1
    assert f"topics: Kafka at 127.0.0.1:{port} does not answer" in capsys.readouterr().err
