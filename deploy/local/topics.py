"""Creates the declared topics on the broker, and tells how far topics and consumer groups have come."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy.local.errors import PlatformError

_REQUEST_TIMEOUT_MS = 20_000
_TOPIC_ALREADY_EXISTS = 36


class TopicSpec(Protocol):
    """What the broker has to know of a topic."""

    @property
    def partitions(self) -> int: ...
    @property
    def config(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class TopicProgress:
    """A topic's size and what each group has still to read of it, records."""

    name: str
    partitions: int
    end_offset: int
    lag: Mapping[str, int]


async def create(bootstrap_servers: str, topics: Mapping[str, TopicSpec]) -> list[str]:
    """Creates those topics (by physical name) that do not exist, with one copy each; returns their names.

    Raises `PlatformError` if an existing topic has another partition count: keys would move between partitions.
    """
    admin = await _admin(bootstrap_servers)
    try:
        existing = set(await admin.list_topics()) & set(topics)
        for described in await admin.describe_topics(sorted(existing)) if existing else []:
            _refuse_other_count(described["topic"], len(described["partitions"]), topics[described["topic"]].partitions)
        missing = [name for name in topics if name not in existing]
        new = [NewTopic(name, topics[name].partitions, 1, topic_configs=topics[name].config) for name in missing]
        response = await admin.create_topics(new, timeout_ms=_REQUEST_TIMEOUT_MS) if new else None
    except KafkaError as error:
        raise PlatformError(f"Kafka at {bootstrap_servers} refused to create topics: {error}") from error
    finally:
        await admin.close()
    for name, code, *message in response.topic_errors if response else ():
        if code not in (0, _TOPIC_ALREADY_EXISTS):
            raise PlatformError(f"Kafka refused to create the topic {name}: error {code} {' '.join(map(str, message))}")
    return missing


async def progress(bootstrap_servers: str) -> list[TopicProgress]:
    """Returns all topics but the broker's own, by name, with the lag of each group that has committed on them."""
    admin = await _admin(bootstrap_servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    try:
        await consumer.start()
        names = sorted(name for name in await admin.list_topics() if not name.startswith("__"))
        described = await admin.describe_topics(names) if names else []
        partitions = {
            topic["topic"]: [TopicPartition(topic["topic"], p["partition"]) for p in topic["partitions"]]
            for topic in described
        }
        ends = await consumer.end_offsets([p for group in partitions.values() for p in group]) if partitions else {}
        groups = [group for group, *_ in await admin.list_consumer_groups()]
        offsets = await asyncio.gather(*(admin.list_consumer_group_offsets(group) for group in groups))
    except KafkaError as error:
        raise PlatformError(f"Kafka at {bootstrap_servers} did not tell its topics: {error}") from error
    finally:
        await consumer.stop()
        await admin.close()
    committed = {group: {p: o.offset for p, o in known.items()} for group, known in zip(groups, offsets, strict=True)}
    return [_progress(name, partitions[name], ends, committed) for name in names]


def _progress(
    name: str,
    partitions: list[TopicPartition],
    ends: Mapping[TopicPartition, int],
    committed: Mapping[str, Mapping[TopicPartition, int]],
) -> TopicProgress:
    lag = {
        group: sum(ends[p] - max(0, offsets.get(p, 0)) for p in partitions)
        for group, offsets in sorted(committed.items())
        if any(p in offsets for p in partitions)
    }
    return TopicProgress(name, len(partitions), sum(ends[p] for p in partitions), lag)


async def _admin(bootstrap_servers: str) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
    except KafkaError as error:
        await admin.close()
        raise PlatformError(
            f"Kafka at {bootstrap_servers} does not answer: {error}. Is the platform up? `make status` tells."
        ) from error
    return admin


def _refuse_other_count(name: str, found: int, expected: int) -> None:
    if found != expected:
        raise PlatformError(
            f"The topic {name} has {found} partitions, expected {expected}: records of one key would lie in two "
            "partitions. Remove the topic, or everything with `make clean`, and start again."
        )
