"""The feed of a stage: a consumer in the stage's group that hands micro-batches to partition workers.

It is a `mode.Service` started beside the Faust app of the process, not inside it: Faust starts nested services only
after its own group has joined, which after a kill takes a whole session.
"""

import asyncio
import faulthandler
import sys
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Generic, TypeVar
from uuid import uuid4

from mode import Service

from shared.adapters.kafka import (
    ConsumerRecord,
    IllegalStateError,
    KafkaError,
    Producer,
    TopicPartition,
)
from shared.adapters.kafka_group import Listener, log_start_offsets, stage_consumer
from shared.adapters.kafka_refusal import why_unreachable
from shared.adapters.redis import RedisClient
from shared.kernel.clock import WallClock
from shared.kernel.errors import ExitCode, Fatal
from shared.kernel.retry import Backoff
from shared.runtime.context import Context, Limits
from shared.runtime.fence import Fence
from shared.runtime.logging import get_logger
from shared.runtime.metrics import StageMetrics
from shared.runtime.pace import Pace
from shared.runtime.partition import PartitionWorker
from shared.runtime.read_up import Answers
from shared.runtime.settings import ClockSettings, KafkaSettings, RedisSettings
from shared.runtime.stage import Stage

V = TypeVar("V")
S = TypeVar("S")

_RECORDS_MAX = 2_000
_POLL_MS = 100
_FULL_POLL_MS = 5
_MORE_POLL_MS = 4
_COMMIT_EVERY_S = 1.0
_REVOKE_LIMIT_S = 3.0
_STALL_LIMIT_S = 30.0
_LOOK_EVERY_S = 10.0
_LOOK_LIMIT_S = 5.0


class FeedSettings(KafkaSettings, ClockSettings, RedisSettings):
    """What a feed needs to know; service settings mix these in."""


class StageFeed(Service, Generic[V, S]):
    """Runs one stage over all partitions that the group gives this process.

    `redis` is needed by stateful stages only. Group name: topic prefix + stage name.
    """

    def __init__(
        self,
        stage: Stage[V, S],
        settings: Any,
        producer: Producer,
        metrics: StageMetrics,
        redis: RedisClient | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__()
        self._stage = stage
        self._settings = settings
        self._redis = redis
        self._metrics = metrics
        prefix = settings.topic_prefix
        self.group = f"{prefix}{stage.name}"
        self._topic = prefix + stage.source.name
        wall = WallClock() if settings.clock == "wall" else None
        self._context = Context(stage, producer, metrics, limits or Limits(), prefix, self.group, wall)
        self._workers: dict[int, PartitionWorker[V, S]] = {}
        self._full: set[int] = set()
        self._committed: dict[TopicPartition, int] = {}
        self._unread: dict[TopicPartition, int] = {}
        self._answers = Answers()
        self._looked_at = time.monotonic()
        self._consumer = stage_consumer(
            settings.kafka_access,
            self.group,
            settings.kafka_session_timeout_ms,
            stage.name,
            settings.kafka_group_instance_id or None,
        )
        self._rebalances = 0
        self._joined = asyncio.Event()
        self._log = get_logger("feed").bind(stage=stage.name)
        self._random = Random()  # noqa: S311 - spreads retries, nothing secret

    async def on_start(self) -> None:
        self._consumer.subscribe([self._topic], listener=Listener(self._revoked, self._assigned))
        try:
            await self._consumer.start()
        except KafkaError as error:
            raise await why_unreachable(self._stage.name, self._settings.kafka_access, error) from error

    async def ping(self) -> None:
        """Raises while the group has not been joined, or while Redis keeps a partition from settling."""
        if not self._joined.is_set():
            raise Fatal(f"consumer group {self.group} is not joined yet")
        if any(worker.troubled for worker in self._workers.values()):
            raise Fatal("Redis does not take writes; records wait")

    async def _assigned(self, partitions: Sequence[TopicPartition]) -> None:
        # Polls go on meanwhile: records that nobody takes yet would be lost to a stage without a fence.
        self._consumer.pause(*partitions)
        try:
            starts = await log_start_offsets(self._consumer, partitions) if partitions else {}
            for tp in sorted(partitions):
                worker: PartitionWorker[V, S] = PartitionWorker(self._context, tp.partition, self._fence(tp.partition))
                await worker.claim(starts[tp])
                if worker.position() >= 0:
                    self._consumer.seek(tp, worker.position())
                self._workers[tp.partition] = worker
                worker.read_up(0)  # nothing is known of the log's end yet
                worker.start(self.crash)
            self._consumer.resume(*partitions)
        except Exception as error:  # aiokafka would swallow it and go on without the partition
            await self.crash(error)
            return
        self._metrics.partitions.set(len(self._workers))
        self._joined.set()
        self._log.info("partitions_assigned", partitions=sorted(self._workers))

    def _fence(self, partition: int) -> Fence | None:
        if self._stage.state is None or self._redis is None:
            return None
        owner = uuid4().hex
        namespace = self._settings.redis_namespace
        return Fence(self._redis, namespace, self._stage.name, partition, owner, Backoff(), self._random)

    async def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self._rebalances += 1
        workers = [self._workers.pop(tp.partition) for tp in partitions if tp.partition in self._workers]
        self._committed.clear()
        self._answers.forget()
        try:
            await asyncio.gather(*(worker.stop(_REVOKE_LIMIT_S) for worker in workers))
            await self._commit({TopicPartition(self._topic, w.partition): w.applied_offset for w in workers})
        except Exception as error:
            await self.crash(error)
        self._metrics.partitions.set(len(self._workers))

    @Service.task
    async def _poll(self) -> None:
        """Fetches and distributes; lets records gather when there are few, so that quiet hours cost little CPU."""
        pace, wait_s, wall = Pace(), 0.0, self._context.wall
        polled = 0 if wall is None else wall.now()
        while not self.should_stop:
            began, polled = polled, 0 if wall is None else wall.now()
            batches = await self._fetch(wait_s > 0)
            for tp, records in batches.items():
                worker = self._workers.get(tp.partition)
                if worker is not None:
                    await worker.put(records)
            if wall is not None:
                self._tell_read_up(began, batches)
            wait_s = pace.seconds(sum(map(len, batches.values())), time.monotonic())
            if wait_s > 0:
                await asyncio.sleep(wait_s)

    def _tell_read_up(self, began: int, fetched: Mapping[TopicPartition, object]) -> None:
        """Tells workers whose log held nothing more at `began`, or when the broker was asked, if that is longer ago: an
        answer that is late, as from a slow network, must not let deadlines fire ahead of the records in it."""
        for partition, worker in self._workers.items():
            tp = TopicPartition(self._topic, partition)
            asked = self._answers.asked_at(tp, self._consumer.last_poll_timestamp(tp))
            if tp in fetched or partition in self._full or asked is None:
                continue
            end = self._consumer.highwater(tp)
            if end is not None and worker.handed_offset + 1 >= end:
                worker.read_up(min(began, asked))

    async def _fetch(self, paced: bool) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Polls the partitions that have room: one that is slow holds up no other, its records stay in Kafka.

        `paced`: records were let gather. The client has fetched ahead meanwhile, but only until the first few had
        come; what came after those is there at once when it is asked again.
        """
        for partition, worker in self._workers.items():
            if worker.inbox.is_full and partition not in self._full:
                self._full.add(partition)
                self._metrics.limit_reached.labels("inbox").inc()
        self._full = {p for p in self._full if p in self._workers and not self._workers[p].inbox.has_room}
        wanted = [tp for tp in self._consumer.assignment() if tp.partition not in self._full] if self._full else []
        if self._full and not wanted:
            await asyncio.sleep(_FULL_POLL_MS / 1000)
            return {}
        timeout_ms = _FULL_POLL_MS if self._full else _POLL_MS
        found: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
            *wanted, timeout_ms=timeout_ms, max_records=_RECORDS_MAX
        )
        if not paced or not found:
            return found
        rebalances = self._rebalances
        more: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
            *wanted, timeout_ms=_MORE_POLL_MS, max_records=_RECORDS_MAX
        )
        if rebalances != self._rebalances:
            return more  # what was found before belongs to workers that are gone: it will be read again
        for tp, records in more.items():
            found.setdefault(tp, []).extend(records)
        return found

    @Service.task
    async def _commit_regularly(self) -> None:
        """Commits for lag monitors and autoscalers (and, for stateless stages, as the position)."""
        while not self.should_stop:
            await self.sleep(_COMMIT_EVERY_S)
            workers = dict(self._workers)
            await self._commit({TopicPartition(self._topic, p): w.applied_offset for p, w in workers.items()})
            await asyncio.gather(*(worker.verify() for worker in workers.values()))
            if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
                await self._look_ahead()
            self._watch()

    async def _look_ahead(self) -> None:
        """Asks the broker what is unread: a client whose fetching has died notices no new records by itself."""
        self._looked_at = time.monotonic()
        places = [TopicPartition(self._topic, partition) for partition in self._workers]
        try:
            async with asyncio.timeout(_LOOK_LIMIT_S):
                ends = await self._consumer.end_offsets(places) if places else {}
                self._unread = {tp: end - await self._consumer.position(tp) for tp, end in ends.items()}
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            self._log.info("ends_unknown", error=repr(error))

    async def _commit(self, applied: dict[TopicPartition, int]) -> None:
        owned = self._consumer.assignment()
        offsets = {tp: offset + 1 for tp, offset in applied.items() if offset >= 0 and tp in owned}
        offsets = {tp: offset for tp, offset in offsets.items() if self._committed.get(tp) != offset}
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
            self._committed |= offsets
        except (KafkaError, IllegalStateError) as error:
            self._log.info("commit_refused", error=str(error))

    def _watch(self) -> None:
        """Sets lag gauges; ends a process that has records to read but makes no progress."""
        workers = self._workers.values()
        self._metrics.states.set(sum(worker.states_cached for worker in workers))
        self._metrics.states_bytes.set(sum(worker.states_bytes for worker in workers))
        self._metrics.queued_rows.set(sum(worker.inbox.rows for worker in workers))
        self._metrics.queued_bytes.set(sum(worker.inbox.bytes for worker in workers))
        for partition, worker in self._workers.items():
            tp = TopicPartition(self._topic, partition)
            end = self._consumer.highwater(tp)
            lag = max(0, (end or 0) - worker.applied_offset - 1)
            if worker.handed_offset < 0 and worker.position() < 0:
                # Where a stateless stage began is Kafka's commit, which only the client knows before the first record.
                lag = self._unread.get(tp, 0)
            if worker.applied_offset >= 0 or end is not None:
                self._metrics.lag_records.labels(str(partition)).set(lag)
            waiting = max(lag, self._unread.get(tp, 0))
            if waiting == 0 or not self._stage.gate() or worker.troubled:
                worker.excuse()
            elif worker.stalled_s() > _STALL_LIMIT_S:
                faulthandler.dump_traceback(sys.stderr)
                raise Fatal(
                    f"{self._stage.name} partition {partition} has {waiting} records waiting and made no progress for "
                    f"{worker.stalled_s():.0f} s",
                    ExitCode.STALLED,
                )

    async def on_stop(self) -> None:
        """Finishes what has been stepped, commits, leaves the group."""
        await self._revoked([TopicPartition(self._topic, partition) for partition in self._workers])
        await self._consumer.stop()
