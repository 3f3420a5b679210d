"""The five ways in which stock Faust loses events, and what the stage runtime does in the same situation.

The first half runs stock Faust (`tests/support/stock_faust.py`) on the real broker and shows each loss, so that an
upgrade which changes one is noticed; the second half runs the runtime through the same trouble and finds every event
counted once. Loss means: the offset is committed, so the event never comes back, and its effect does not exist.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from shared.adapters.kafka import Message, Producer
from shared.adapters.redis import RedisClient
from shared.contracts.codec import encode
from shared.contracts.facts import Fact
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, PROFILE_UPDATES
from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.feed import StageFeed
from shared.runtime.health import Health
from shared.runtime.metrics import StageMetrics
from shared.runtime.process import Process, run
from shared.runtime.settings import ServiceSettings
from shared.runtime.stage import Batch, Effects
from tests.support import stock_run
from tests.support.collector import collector_kept
from tests.support.counting import Count, count, counting_stage
from tests.support.counting_run import PARTITIONS, CountingRun, crashed, folded, numbered
from tests.support.platform import EmbeddedPlatform
from tests.support.stock_faust import POISON
from tests.support.stock_run import StockOutcome
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform


@pytest.fixture(autouse=True)
def captured_logs() -> Iterator[None]:
    """Keeps structlog from its default, which draws every variable of a traceback's frames: half a minute an error."""
    with capture_logs():
        yield


Step = Callable[[Batch[Fact, Count]], Effects[Count]]


@pytest.fixture(scope="module")
def stock(platform: EmbeddedPlatform) -> Mapping[str, StockOutcome]:
    """One stock worker that ran through all five cases and was then killed."""
    return asyncio.run(stock_run.run_stock_faust(platform.kafka_bootstrap_servers, f"{uuid4().hex[:8]}-"))


def test_stock_faust_commits_past_an_event_on_which_the_agent_raised(stock: Mapping[str, StockOutcome]) -> None:
    """https://github.com/faust-streaming/faust/issues/527: the stream acknowledges in a `finally`."""
    found = stock["raises"]

    assert found.committed == found.offered
    assert {POISON} == set(range(found.offered)) - set(found.done)


def test_stock_faust_loses_the_whole_batch_of_take_when_the_agent_raises(stock: Mapping[str, StockOutcome]) -> None:
    """https://github.com/faust-streaming/faust/pull/192: a batch of `take` is acknowledged whatever became of it."""
    found = stock["take"]

    assert found.committed == found.offered
    assert set(range(found.offered)) - set(found.done) >= set(range(50))


def test_stock_faust_commits_past_an_event_that_is_still_in_flight(stock: Mapping[str, StockOutcome]) -> None:
    """https://github.com/faust-streaming/faust/issues/606: with `concurrency`, later events commit earlier ones."""
    found = stock["concurrency"]

    assert found.committed > 0
    assert 0 not in found.done


def test_stock_faust_commits_events_whose_output_the_broker_has_refused(stock: Mapping[str, StockOutcome]) -> None:
    """https://github.com/robinhood/faust/issues/729: a failed send ends in the log, in a future nobody looks at."""
    found = stock["send"]

    assert found.committed == found.offered
    assert found.outputs == 0


def test_stock_faust_loses_the_event_even_when_the_send_is_awaited(stock: Mapping[str, StockOutcome]) -> None:
    """https://github.com/faust-streaming/faust/issues/315: the error leaves the agent, and that acknowledges."""
    found = stock["awaited_send"]

    assert found.committed > 0
    assert (found.outputs, found.done) == (0, [])


def raising(event: str, error: Exception, times: int) -> Step:
    """The counting step, but it raises `error` the first `times` times that it meets the event."""
    left = [times]

    def step(batch: Batch[Fact, Count]) -> Effects[Count]:
        if left[0] and any(record.value.id == event for record in batch.records):
            left[0] -= 1
            raise error
        return count(batch)

    return step


async def test_an_event_on_which_the_step_raises_once_is_counted_in_its_place(platform: EmbeddedPlatform) -> None:
    """Stock Faust acknowledges it (https://github.com/faust-streaming/faust/issues/527); here it is stepped again."""
    facts = numbered(300)
    async with CountingRun.opened(platform) as counting:
        await counting.produce(facts)
        async with counting.feed(raising("e7", ConnectionError("away for a moment"), 1)):
            await counting.counted(len(facts))
        totals, letters = await counting.totals(), await counting.read(EVENTS.dlq_name)

    assert folded(facts) == totals
    assert letters == []


async def test_an_event_on_which_the_step_always_raises_is_kept_as_a_dead_letter(platform: EmbeddedPlatform) -> None:
    """Stock Faust leaves nothing of it (https://github.com/faust-streaming/faust/issues/527)."""
    facts = numbered(300)
    async with CountingRun.opened(platform) as counting:
        await counting.produce(facts)
        async with counting.feed(raising("e7", ValueError("no such person"), 1_000)):
            await counting.counted(len(facts) - 1)
            letters = await eventually(lambda: counting.read(EVENTS.dlq_name), "the dead letter")
        totals = await counting.totals()

    assert folded([fact for fact in facts if fact.id != "e7"]) == totals
    assert [encode(facts[7])] == [letter.value for letter in letters]


async def test_a_batch_on_which_the_worker_ends_is_stepped_whole_by_the_next_worker(platform: EmbeddedPlatform) -> None:
    """Stock Faust loses the batch of `take`, and more (https://github.com/faust-streaming/faust/pull/192)."""
    facts = numbered(2_000)
    step = raising("e1007", Fatal("the database is away", ExitCode.RETRY), 1)
    async with CountingRun.opened(platform) as counting:
        await counting.produce(facts)
        async with counting.feed(step) as feed:
            reason = await crashed(feed)
        async with counting.feed(step):
            await counting.counted(len(facts))
        totals = await counting.totals()

    assert str(reason) == "the database is away"
    assert folded(facts) == totals


class HoldingProducer(Producer):
    """A producer that, once `holding`, keeps the acknowledgements of one partition to itself."""

    def __init__(self, bootstrap_servers: str, prefix: str, partition: int) -> None:
        super().__init__(bootstrap_servers, prefix)
        self.holding = False
        self.held = 0
        self._partition = partition

    async def submit(self, messages: Sequence[Message]) -> Sequence[Awaitable[Any]]:
        futures = await super().submit(messages)
        if not self.holding or not any(message.partition == self._partition for message in messages):
            return futures
        self.held += len(messages)
        return [asyncio.get_running_loop().create_future() for _ in futures]


def timeless(batch: Batch[Fact, Count]) -> Effects[Count]:
    """The counting step without deadlines: a due one waits until what was stepped before it has settled."""
    effects = count(batch)
    effects.deadlines.clear()
    return effects


async def test_nothing_is_applied_or_committed_past_an_event_that_is_still_in_flight(
    platform: EmbeddedPlatform,
) -> None:
    """Stock Faust commits past it with `concurrency=2` (https://github.com/faust-streaming/faust/issues/606).

    The outputs of one batch are never acknowledged while later batches of its partition are stepped and produced; the
    worker ends; its successor starts with that batch.
    """
    facts = numbered(1_500)
    slow = partition_of("p0", PARTITIONS)
    ours = [partition_of(fact.profile_id, PARTITIONS) == slow for fact in facts]
    async with CountingRun.opened(platform) as counting:
        settings = counting.settings
        producer = HoldingProducer(settings.kafka_bootstrap_servers, settings.topic_prefix, slow)
        async with counting.feed(timeless, producer):
            await counting.produce(facts[:500])
            await counting.counted(500)
            producer.holding = True
            for start in (500, 1_000):
                await counting.produce(facts[start : start + 500])
                stepped = sum(ours[500 : start + 500])
                await eventually(lambda: asyncio.sleep(0, producer.held == stepped), "outputs on their way")  # noqa: B023
            await counting.counted(len(facts) - sum(ours[500:]))
        fence, committed = await counting.fence(slow), await counting.committed(slow)
        async with counting.feed(timeless):
            await counting.counted(len(facts))
        totals = await counting.totals()

    assert fence == sum(ours[:500]) - 1
    assert committed <= fence + 1
    assert folded(facts) == totals


_INCOMPRESSIBLE = b'"%s"' % Random(0).randbytes(20_000).hex().encode()


def bulky(event: str) -> Step:
    """The counting step, but the output that belongs to one event is too big for a topic of 10 kB."""

    def step(batch: Batch[Fact, Count]) -> Effects[Count]:
        effects = count(batch)
        for number, record in enumerate(batch.records):
            if record.value.id == event:
                cause = effects.outputs[number]
                effects.outputs[number] = type(cause)(cause.topic, cause.key, _INCOMPRESSIBLE)
        return effects

    return step


async def test_an_output_that_the_broker_refuses_keeps_state_fence_and_commit_where_they_were(
    platform: EmbeddedPlatform,
) -> None:
    """Stock Faust commits the event and loses its output (https://github.com/robinhood/faust/issues/729)."""
    facts = numbered(400)
    refused = partition_of(facts[200].profile_id, PARTITIONS)
    ours = [fact for fact in facts if partition_of(fact.profile_id, PARTITIONS) == refused]
    async with CountingRun.opened(platform) as counting:
        await counting.configure(PROFILE_UPDATES.name, **{"max.message.bytes": "10000"})
        await counting.produce(facts)
        async with counting.feed(bulky("e200")) as feed:
            reason = await crashed(feed)
        fence, committed = await counting.fence(refused), await counting.committed(refused)
        await counting.configure(PROFILE_UPDATES.name, **{"max.message.bytes": "1000000"})
        async with counting.feed(bulky("e200")):
            await counting.counted(len(facts))
        totals, outputs = await counting.totals(), await counting.read(PROFILE_UPDATES.name)

    assert isinstance(reason, MessageSizeTooLargeError)
    assert fence < ours.index(facts[200])
    assert committed <= fence + 1
    assert folded(facts) == totals
    assert len(facts) == len({(output.key, output.value) for output in outputs})


class HostSettings(ServiceSettings):
    http_port: int = 0


async def test_a_process_whose_output_is_refused_ends_with_the_documented_exit_code(platform: EmbeddedPlatform) -> None:
    """In stock Faust the awaited error acknowledges (https://github.com/faust-streaming/faust/issues/315).

    Here it ends the process, and the supervisor's next one repeats the same event: for ever, until somebody acts.
    """
    facts = numbered(10)
    async with CountingRun.opened(platform) as counting:
        await counting.configure(PROFILE_UPDATES.name, **{"max.message.bytes": "10000"})
        await counting.produce(facts)
        with collector_kept():
            codes = [await run(host_of(counting, bulky("e3"))) for _ in range(2)]
        applied = sum([events for events, _, _ in (await counting.totals()).values()])
        await counting.configure(PROFILE_UPDATES.name, **{"max.message.bytes": "1000000"})
        async with counting.feed(bulky("e3")):
            await counting.counted(len(facts))
        totals = await counting.totals()

    assert [ExitCode.RETRY, ExitCode.RETRY] == codes
    assert applied < len(facts)
    assert folded(facts) == totals


def host_of(counting: CountingRun, step: Step) -> Process:
    """The process that a service would be."""
    registry = CollectorRegistry()
    redis = RedisClient(counting.settings.redis_url, durable=True)
    producer = Producer(counting.settings.kafka_bootstrap_servers, counting.settings.topic_prefix)
    stage = counting_stage()
    feed: StageFeed[Any, Any] = StageFeed(
        type(stage)(stage.name, stage.source, step, stage.outputs, stage.state),
        counting.settings,
        producer,
        StageMetrics("counting", registry),
        redis,
    )
    return Process("counting", HostSettings(), FastAPI(), Health(), [producer, redis, feed])
