"""A small stage that counts a profile's events: what the runtime's own tests and benchmarks run.

As a program (`python -m tests.support.counting SETTINGS_JSON`) it is a worker process that tests may kill.
"""

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

import msgspec
import uvloop
from prometheus_client import CollectorRegistry

from shared.adapters.kafka import KafkaAccess, Producer
from shared.adapters.redis import RedisClient
from shared.contracts.facts import Fact
from shared.contracts.topics import EVENTS, PROFILE_UPDATES
from shared.contracts.updates import ProfileUpdate
from shared.kernel.clock import Micros
from shared.kernel.errors import Fatal
from shared.runtime import logging
from shared.runtime.feed import StageFeed
from shared.runtime.metrics import StageMetrics
from shared.runtime.stage import Batch, Effects, Output, Stage, ViewWrite

TIME_LIMIT_US = 1_000


class Count(msgspec.Struct):
    """`rung`: deadlines that fired for this profile."""

    events: int = 0
    total: float = 0.0
    last: int = 0
    rung: int = 0


class CountCodec:
    def encode(self, state: Count) -> bytes:
        return msgspec.msgpack.encode(state)

    def decode(self, raw: bytes) -> Count:
        return msgspec.msgpack.decode(raw, type=Count)


def count(batch: Batch[Fact, Count]) -> Effects[Count]:
    """Counts events and sums `body.amount`; emits one update per event; sets a deadline 1 ms of log time later.

    An event with `body.poison` makes it raise.
    """
    effects: Effects[Count] = Effects()
    states = dict(batch.states)
    for record in batch.records:
        state = states.setdefault(record.key, Count())
        fact = record.value
        if fact.type == "tick":
            continue
        if fact.body.get("poison"):
            raise ValueError(f"poisoned by {fact.id}")
        state.events += 1
        state.total += fact.body.get("amount", 0.0)
        state.last = fact.received_at
        effects.states[record.key] = state
        update = ProfileUpdate(fact.tenant, record.key, state.events)
        effects.outputs.append(Output(PROFILE_UPDATES, record.key, update, timestamp_ms=record.timestamp_ms))
        effects.deadlines[record.key] = Micros(fact.received_at + TIME_LIMIT_US)
        effects.views.append(ViewWrite("add", "seen", record.key.encode()))
    for due in batch.due:
        state = states[due.key]
        state.rung += 1
        effects.states[due.key] = state
        effects.deadlines[due.key] = None
    return effects


def counting_stage(name: str = "counting") -> Stage[Fact, Count]:
    return Stage(
        name=name, source=EVENTS, step=count, outputs=(PROFILE_UPDATES,), state=CountCodec(), log_time=_log_time
    )


def _log_time(fact: Fact) -> int:
    return fact.log_time


@dataclass(frozen=True)
class WorkerSettings:
    kafka_bootstrap_servers: str
    redis_url: str
    topic_prefix: str
    redis_namespace: str
    clock: str = "stream"
    kafka_session_timeout_ms: int = 6_000
    kafka_group_instance_id: str = ""

    @property
    def kafka_access(self) -> KafkaAccess:
        return KafkaAccess(self.kafka_bootstrap_servers)


def counting_feed(settings: WorkerSettings, producer: Producer, redis: RedisClient) -> StageFeed[Any, Any]:
    registry = CollectorRegistry()
    return StageFeed(counting_stage(), settings, producer, StageMetrics("counting", registry), redis)


async def _work(settings: WorkerSettings) -> int:
    producer = Producer(settings.kafka_bootstrap_servers, settings.topic_prefix)
    redis = RedisClient(settings.redis_url, durable=True)
    feed = counting_feed(settings, producer, redis)
    for service in (producer, redis, feed):
        await service.start()
    await feed.wait_until_stopped()
    reason = feed.crash_reason
    sys.stderr.write(f"crashed: {reason!r}\n")
    return reason.exit_code if isinstance(reason, Fatal) else 1


if __name__ == "__main__":
    logging.configure("counting", "warning", "console")
    os._exit(uvloop.run(_work(WorkerSettings(**json.loads(sys.argv[1])))))
