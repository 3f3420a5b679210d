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
from shared.kernel.clock import Micros
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.alarm import Alarm
from shared.runtime.context import Context
from shared.runtime.contiguity import continued
from shared.runtime.dlq import dead_letter
from shared.runtime.fence import NO_OFFSET, Commit, Fence
from shared.runtime.inbox import Inbox
from shared.runtime.interlude import admitted, opened, pace, take_turn
from shared.runtime.settler import Settler, Unsettled
from shared.runtime.stage import Batch, Due, Effects, Interlude, Record
from shared.runtime.state import Held, StateCache, frame, unframe
from shared.runtime.stepper import StepFailedError, Stepper, decode

V = TypeVar("V")
S = TypeVar("S")

_CANCEL_AGAIN_S = 0.1


class PartitionWorker(Generic[V, S]):
    """Owns one partition from assignment to revocation."""

    def __init__(self, context: Context[V, S], partition: int, fence: Fence | None) -> None:
        self._context = context
        self._stage = context.stage
        self._interlude = context.stage.interlude
        self.partition = partition
        self._fence = fence
        self._stepper: Stepper[V, S] = Stepper(context.stage)
        self._cache: StateCache[S] = StateCache(context.limits.states_cached_max, context.limits.states_bytes_max)
        self._alarm = Alarm(context.wall, context.limits.deadline_grace_us)
        self.inbox = Inbox(context.limits.rows_queued_max, context.limits.bytes_queued_max)
        self._settler: Settler[V, S] = Settler(context, partition, fence, self._cache)
        self._tasks: list[asyncio.Task[None]] = []
        self._read_offset = self.handed_offset = NO_OFFSET

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
                f"now starts at {log_start}: records between were deleted. Restore a newer copy with "
                f"`freshet state restore`, or raise the topic's retention before the next loss",
                ExitCode.LOG_TRUNCATED,
            )
        self._settler.applied_offset = self._read_offset = self.handed_offset = found.offset
        self._alarm.log_time = found.clock

    def start(self, crash: Callable[[BaseException], Awaitable[None]]) -> None:
        """Starts both coroutines; whatever one raises is handed to `crash`."""
        for work in (self._step_forever, self._settler.run):
            self._tasks.append(asyncio.create_task(_guard(work, crash), name=f"{self._stage.name}-{self.partition}"))

    async def put(self, records: Sequence[ConsumerRecord]) -> None:
        """Accepts records; waits while too many wait already (back-pressure)."""
        await self.inbox.put(records)
        if records:
            self.handed_offset = records[-1].offset

    def read_up(self, at: int) -> None:
        """Tells that at `at` (µs, wall clock) the log held nothing that had not been handed over.

        Deadlines on the wall clock wait for this. Once it has been called, with 0 for a start, it must go on.
        """
        if self.inbox.rows == 0:
            self._alarm.read_up_at = at

    async def verify(self) -> None:
        """To be called now and then. Raises Fatal when a quiet partition's state in Redis is not the one left there."""
        await self._settler.verify()

    async def stop(self, limit_s: float) -> None:
        """Finishes what has been stepped, within `limit_s`; abandons the rest, which will be read again."""
        self.inbox.close()
        stepping, *settling = self._tasks
        while not stepping.done() and stepping.cancel():  # a client library may swallow it: a hand-over must not hang
            await asyncio.wait({stepping}, timeout=_CANCEL_AGAIN_S)
        drained = asyncio.create_task(self._settler.drained())
        await asyncio.wait({drained, *settling}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        for task in (drained, *settling):
            task.cancel()
        await asyncio.wait({drained, *settling})
        self._context.metrics.forget_partition(self.partition)
        if self._interlude is not None:
            self._interlude.released(self.partition)

    async def _step_forever(self) -> None:
        await admitted(self._stage, self.partition, self._read_offset)
        while True:
            records = await self._next_records()
            await opened(self._stage)
            if records:
                await self._process(records, ())
            if self._fence is not None and self._alarm.has_come:
                await self._fire_deadlines(self._fence)
            if self._interlude is not None and self._interlude.is_busy(self.partition):
                await self._take_turn(self._interlude)

    async def _take_turn(self, interlude: Interlude) -> None:
        turn = interlude.next_turn(self.partition, self._read_offset, Micros(max(0, self._alarm.time_reached())))
        nothing: Batch[V, S] = Batch(self.partition, (), (), {})
        if turn is not None:
            await take_turn(
                turn,
                lambda due: self._process((), due),
                lambda effects: self._hand_over((), effects, [], nothing),
                self._settler.drained,
            )

    async def _next_records(self) -> Sequence[ConsumerRecord]:
        """Waits for records and takes all that wait, up to the limits; returns nothing when a deadline comes first."""
        limits = self._context.limits
        wait_s = None if self._fence is None else self._alarm.seconds_left()
        if self._interlude is not None:
            pace_s = pace(self._interlude, self.partition)
            wait_s = pace_s if wait_s is None else min(wait_s, pace_s)
        return await self.inbox.take(limits.batch_rows_max, limits.batch_bytes_max, wait_s)

    async def _fire_deadlines(self, fence: Fence) -> None:
        """Fires one bounded slice, so that live records wait for no more than that."""
        slice_max, decided = self._context.limits.deadlines_slice_max, self._settler.decided_deadlines()
        due, self._alarm.next_due = await fence.due(self._alarm.time_reached(), slice_max, decided)
        if due:
            self._context.metrics.deadlines.inc(len(due))
            await self._process((), due)
        elif self._alarm.has_come:
            await self._settler.drained()  # what is due lies behind more decided deadlines than one look shows
        if len(due) == slice_max:
            self._context.metrics.limit_reached.labels("deadlines").inc()

    async def _process(self, raw: Sequence[ConsumerRecord], due: Sequence[Due]) -> None:
        raw = self._continue_log(raw)
        if not raw and not due:
            return
        records, undecodable, self._alarm.log_time = decode(self._stage, raw, self._alarm.log_time)
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
        fresh = continued(raw, self._read_offset, f"{self._stage.name} partition {self.partition}")
        if fresh:
            self._read_offset = fresh[-1].offset
        return fresh

    async def _load(self, records: Sequence[Record[V]], due: Sequence[Due]) -> Batch[V, S]:
        """Fetches missing states in one round trip and leaves out records that a torn write had applied already."""
        if self._fence is None or self._stage.state is None:
            return Batch(self.partition, records, due, {})
        keys = [record.key for record in records] + [item.key for item in due]
        # Again and again: while a load is under way a settled batch may trim what was there.
        while missing := self._cache.missing(keys):
            for key, raw in zip(missing, await self._fence.load(missing), strict=True):
                self._cache.put(key, self._thaw(raw))
        held = {key: self._cache.get(key) for key in dict.fromkeys(keys)}
        fresh = [record for record in records if record.offset > held[record.key].offset]
        states = {key: found.state for key, found in held.items() if found.state is not None}
        return Batch(self.partition, fresh, due, states)

    def _thaw(self, raw: bytes | None) -> Held[S]:
        assert self._stage.state is not None
        if raw is None:
            return Held(None, NO_OFFSET)
        offset, encoded = unframe(raw)
        return Held(self._stage.state.decode(encoded), offset, len(raw))

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
        expected, offset = self._handed_offset(raw)
        commit = self._commit(effects, expected, offset) if self._fence is not None else None
        keys = tuple(effects.states) if commit is not None else ()
        self._cache.pin(keys)
        acknowledgements = await self._context.producer.submit(messages)
        self._context.metrics.batch_rows.observe(len(raw))
        newest_ms, now = raw[-1].timestamp if raw else 0, time.perf_counter()
        await self._settler.put(Unsettled(acknowledgements, commit, keys, offset, len(raw), newest_ms, now))

    def _handed_offset(self, raw: Sequence[ConsumerRecord]) -> tuple[int, int]:
        """The fence before and after this batch; deadlines alone leave it where it is."""
        if raw:
            return raw[0].offset - 1, raw[-1].offset
        return self._read_offset, self._read_offset

    def _commit(self, effects: Effects[S], expected: int, offset: int) -> Commit:
        assert self._stage.state is not None
        states: list[tuple[str, bytes]] = []
        encode, written = self._stage.state.encode, 0
        for key, state in effects.states.items():
            held = self._cache.peek(key)
            # A state may lie beyond the fence (torn write, restored copy): what it contains must not be taken from it.
            held.state, held.offset = state, max(offset, held.offset)
            encoded = frame(held.offset, encode(state))
            self._cache.weigh(held, len(encoded))
            written += len(encoded)
            states.append((key, encoded))
        self._context.metrics.state_bytes.inc(written)
        self._alarm.set(effects.deadlines.values())
        deadlines = self._cache.changed_deadlines(effects.deadlines)
        return Commit(expected, offset, self._alarm.log_time, states, deadlines, effects.views)

    @property
    def states_cached(self) -> int:
        return len(self._cache)

    @property
    def states_bytes(self) -> int:
        return self._cache.bytes


async def _guard(work: Callable[[], Awaitable[None]], crash: Callable[[BaseException], Awaitable[None]]) -> None:
    try:
        await work()
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # crash-only: whatever is not understood ends the process
        await crash(error)
