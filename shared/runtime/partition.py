"""One partition of one stage: step, produce, and settle through the fence, strictly in that order of effects.

Two coroutines share the work. The first takes micro-batches, loads missing states, runs the pure step and hands the
outputs to the producer. The second waits until those are durable, then applies states, deadlines, views and the
fence in one script. The first may run a few batches ahead of the second; their effects still settle in order.

    killed after the step, before the acks  -> nothing happened: the batch is read again from the fence
    killed after the acks, before the apply -> outputs repeat with the same ids; states are written once
    killed after the apply                  -> nothing repeats
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from shared.adapters.kafka import ConsumerRecord, Message
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.context import Context
from shared.runtime.dlq import dead_letter
from shared.runtime.fence import NO_OFFSET, Commit, Fence
from shared.runtime.settler import Settler, Unsettled
from shared.runtime.stage import Batch, Due, Effects, Record
from shared.runtime.state import Held, StateCache, frame, unframe
from shared.runtime.stepper import StepFailedError, Stepper, decode

V = TypeVar("V")
S = TypeVar("S")


class PartitionWorker(Generic[V, S]):
    """Owns one partition from assignment to revocation."""

    def __init__(self, context: Context[V, S], partition: int, fence: Fence | None) -> None:
        self._context = context
        self._stage = context.stage
        self.partition = partition
        self._fence = fence
        self._stepper: Stepper[V, S] = Stepper(context.stage)
        self._cache: StateCache[S] = StateCache(context.limits.states_cached_max)
        self._inbox: asyncio.Queue[Sequence[ConsumerRecord]] = asyncio.Queue()
        self._rows_queued = 0
        self._taken = asyncio.Event()
        self._stopped = False
        self._settler: Settler[V, S] = Settler(context, partition, fence, self._cache)
        self._tasks: list[asyncio.Task[None]] = []
        self._read_offset = NO_OFFSET
        self._log_time = 0
        self._next_due: int | None = 0  # unknown yet: the first look into Redis tells

    @property
    def applied_offset(self) -> int:
        """The last offset whose effects are durable; -1 before the first."""
        return self._settler.applied_offset

    def stalled_s(self) -> float:
        """Seconds since a batch last settled."""
        return time.monotonic() - self._settler.progressed_at

    def excuse(self) -> None:
        """Starts the count of stalled seconds anew: there is nothing to do, or a known reason to wait."""
        self._settler.progressed_at = time.monotonic()

    @property
    def troubled(self) -> bool:
        return self._fence is not None and self._fence.troubled

    def position(self) -> int:
        """The next offset to read: where the fence says, or -1 when Kafka's committed offset rules."""
        return self._read_offset + 1 if self._fence is not None else -1

    async def claim(self, log_start: int) -> None:
        """Takes the partition over. Raises Fatal when the log no longer holds what the fence still needs."""
        if self._fence is None:
            return
        found = await self._fence.claim()
        if found.offset + 1 < log_start:
            raise Fatal(
                f"{self._stage.name} has applied partition {self.partition} up to offset {found.offset}, but the log "
                f"now starts at {log_start}: records between were deleted. Restore a newer snapshot of Redis, or "
                f"raise the topic's retention and replay",
                ExitCode.LOG_TRUNCATED,
            )
        self._settler.applied_offset = self._read_offset = found.offset
        self._log_time = found.clock

    def start(self, crash: Callable[[BaseException], Awaitable[None]]) -> None:
        """Starts both coroutines; whatever one raises is handed to `crash`."""
        for work in (self._step_forever, self._settler.run):
            self._tasks.append(asyncio.create_task(_guard(work, crash), name=f"{self._stage.name}-{self.partition}"))

    async def put(self, records: Sequence[ConsumerRecord]) -> None:
        """Accepts records; waits while too many wait already (back-pressure)."""
        while self._rows_queued >= self._context.limits.rows_queued_max and not self._stopped:
            self._taken.clear()
            await self._taken.wait()
        self._rows_queued += len(records)
        self._inbox.put_nowait(records)

    async def stop(self, limit_s: float) -> None:
        """Finishes what has been stepped, within `limit_s`; abandons the rest, which will be read again."""
        self._stopped = True
        self._taken.set()  # whoever waits to hand over records is let go: they will be read again
        stepping, *settling = self._tasks
        stepping.cancel()
        await asyncio.wait({stepping})
        drained = asyncio.create_task(self._settler.drained())
        await asyncio.wait({drained, *settling}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        for task in (drained, *settling):
            task.cancel()
        await asyncio.wait({drained, *settling})
        self._context.metrics.forget_partition(self.partition)

    async def _step_forever(self) -> None:
        while True:
            records = await self._next_records()
            if records:
                await self._process(records, ())
            if self._deadline_has_come():
                await self._fire_deadlines()

    async def _next_records(self) -> Sequence[ConsumerRecord]:
        """Waits for records and takes all that wait, up to the limit; returns nothing when a deadline comes first.

        Batches so follow the load: small when quiet, for latency; large when behind, because the price of a batch
        (acknowledgement, script) does not depend on its size.
        """
        wait_s = self._seconds_to_deadline()
        try:
            async with asyncio.timeout(wait_s):
                first = await self._inbox.get()
        except TimeoutError:
            return ()
        records = list(first)
        while not self._inbox.empty() and len(records) < self._context.limits.batch_rows_max:
            records += self._inbox.get_nowait()
        self._rows_queued -= len(records)
        self._taken.set()
        return records

    def _seconds_to_deadline(self) -> float | None:
        """None when only records can bring a deadline nearer: none is set, or the log moves time on (stream clock)."""
        if self._fence is None or self._next_due is None:
            return None
        if self._deadline_has_come():
            return 0.0
        wall = self._context.wall
        if wall is None:
            return None
        return max(0.001, (self._next_due + self._context.limits.deadline_grace_us - wall.now()) / 1e6)

    def _time_reached(self) -> int:
        """The instant (µs) up to which deadlines may fire now.

        On the stream clock only what lies strictly before the newest log time: records of that instant may follow.
        """
        wall = self._context.wall
        return self._log_time - 1 if wall is None else wall.now() - self._context.limits.deadline_grace_us

    def _deadline_has_come(self) -> bool:
        return self._fence is not None and self._next_due is not None and self._next_due <= self._time_reached()

    async def _fire_deadlines(self) -> None:
        """Fires one bounded slice, so that live records wait for no more than that."""
        assert self._fence is not None
        await self._settler.drained()  # Redis then holds every deadline decided so far
        due, self._next_due = await self._fence.due(self._time_reached(), self._context.limits.deadlines_slice_max)
        if due:
            self._context.metrics.deadlines.inc(len(due))
            await self._process((), due)

    async def _process(self, raw: Sequence[ConsumerRecord], due: Sequence[Due]) -> None:
        raw = self._continue_log(raw)
        if not raw and not due:
            return
        records, undecodable = decode(self._stage, raw)
        if self._stage.prepare is not None and records:
            await self._stage.prepare(records)
        batch = await self._load(records, due)
        started = time.perf_counter()
        effects = await self._step(batch)
        self._context.metrics.step.observe(time.perf_counter() - started)
        letters = [
            dead_letter(raw[i], error, self._stage.name, self._context.dlq_topic, self._context.group)
            for i, error in undecodable
        ]
        for _, error in undecodable:
            self._context.metrics.rejected.labels(error.reason).inc()
        await self._hand_over(raw, effects, letters, batch)

    def _continue_log(self, raw: Sequence[ConsumerRecord]) -> Sequence[ConsumerRecord]:
        """Drops what was read already; a hole in a fenced log means lost records and ends the process."""
        if self._fence is None or not raw:
            if raw:
                self._read_offset = raw[-1].offset
            return raw
        fresh = [record for record in raw if record.offset > self._read_offset]
        if fresh and fresh[0].offset != self._read_offset + 1:
            raise Fatal(
                f"{self._stage.name} partition {self.partition}: expected offset {self._read_offset + 1}, "
                f"got {fresh[0].offset}; starting again from the fence",
                ExitCode.GAP,
            )
        if fresh:
            self._read_offset = fresh[-1].offset
        return fresh

    async def _load(self, records: Sequence[Record[V]], due: Sequence[Due]) -> Batch[V, S]:
        """Fetches missing states in one round trip and leaves out records that a torn write had applied already."""
        if self._fence is None or self._stage.state is None:
            return Batch(self.partition, records, due, {})
        keys = [record.key for record in records] + [item.key for item in due]
        missing = self._cache.missing(keys)
        if missing:
            for key, raw in zip(missing, await self._fence.load(missing), strict=True):
                self._cache.put(key, self._thaw(raw))
        fresh = [record for record in records if record.offset > self._cache.get(record.key).offset]
        held = {key: self._cache.get(key).state for key in dict.fromkeys(keys)}
        return Batch(self.partition, fresh, due, {key: state for key, state in held.items() if state is not None})

    def _thaw(self, raw: bytes | None) -> Held[S]:
        assert self._stage.state is not None
        if raw is None:
            return Held(None, NO_OFFSET)
        offset, encoded = unframe(raw)
        return Held(self._stage.state.decode(encoded), offset)

    async def _step(self, batch: Batch[V, S]) -> Effects[S]:
        try:
            return self._stepper.step(batch)
        except StepFailedError:
            await self._settler.drained()
            keys = [record.key for record in batch.records] + [item.key for item in batch.due]
            self._cache.forget(keys)
            batch = await self._load(batch.records, batch.due)
            state = self._stage.state
            nothing: Callable[[Any], bytes] = lambda _: b""  # noqa: E731 - stateless stages have nothing to save
            return self._stepper.step_singly(
                batch, state.encode if state else nothing, state.decode if state else nothing
            )

    async def _hand_over(
        self, raw: Sequence[ConsumerRecord], effects: Effects[S], letters: list[Message], batch: Batch[V, S]
    ) -> None:
        """Encodes what the step decided, submits the outputs and queues the batch for settling."""
        by_offset = {record.offset: record for record in raw} if effects.rejections else {}
        for rejection in effects.rejections:
            self._context.metrics.rejected.labels(rejection.error.reason).inc()
            cause = by_offset[rejection.record.offset]
            letters.append(
                dead_letter(cause, rejection.error, self._stage.name, self._context.dlq_topic, self._context.group)
            )
        messages = self._context.messages(effects.outputs) + letters
        self._log_time = max(self._log_time, effects.log_time)
        expected, offset = self._handed_offset(raw)
        commit = self._commit(effects, expected, offset) if self._fence is not None else None
        keys = tuple(effects.states) if commit is not None else ()
        self._cache.pin(keys)
        acknowledgements = await self._context.producer.submit(messages)
        self._context.metrics.batch_rows.observe(len(raw))
        newest_ms = raw[-1].timestamp if raw else 0
        unsettled = Unsettled(acknowledgements, commit, keys, offset, len(raw), newest_ms, time.perf_counter())
        await self._settler.put(unsettled)

    def _handed_offset(self, raw: Sequence[ConsumerRecord]) -> tuple[int, int]:
        """The fence before and after this batch; deadlines alone leave it where it is."""
        if raw:
            return raw[0].offset - 1, raw[-1].offset
        return self._read_offset, self._read_offset

    def _commit(self, effects: Effects[S], expected: int, offset: int) -> Commit:
        assert self._stage.state is not None
        states: list[tuple[str, bytes]] = []
        for key, state in effects.states.items():
            encoded = frame(offset, self._stage.state.encode(state))
            self._context.metrics.state_bytes.inc(len(encoded))
            states.append((key, encoded))
            if self._cache.missing((key,)):
                self._cache.put(key, Held(state, offset))
            else:
                held = self._cache.get(key)
                held.state, held.offset = state, offset
        for at in effects.deadlines.values():
            if at is not None and (self._next_due is None or at < self._next_due):
                self._next_due = at
        return Commit(expected, offset, self._log_time, states, effects.deadlines, effects.views)

    @property
    def states_cached(self) -> int:
        return len(self._cache)


async def _guard(work: Callable[[], Awaitable[None]], crash: Callable[[BaseException], Awaitable[None]]) -> None:
    try:
        await work()
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # crash-only: whatever is not understood ends the process
        await crash(error)
