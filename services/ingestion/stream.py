"""The Kafka door: messages from `inbound`, validated and identified, become facts on `events`."""

from collections.abc import Sequence

from services.ingestion.domain import Dataset, make_fact
from services.ingestion.ports import Datasets
from shared.contracts.facts import Fact
from shared.contracts.headers import trace_of
from shared.contracts.inbound import RECEIVED_AT_HEADER, InboundMessage
from shared.contracts.topics import EVENTS, INBOUND
from shared.kernel.errors import Reason, Rejected
from shared.runtime.stage import Batch, Effects, Output, Record, Rejection, Stage


def stage(datasets: Datasets, tenant: str, *, stream_clock: bool) -> Stage[InboundMessage, None]:
    """Returns the stage. On the stream clock the header `received-at` is honoured and ticks are let through."""

    async def learn(records: Sequence[Record[InboundMessage]]) -> None:
        await datasets.learn(list({record.value.header.dataset_id for record in records}))

    def accept(batch: Batch[InboundMessage, None]) -> Effects[None]:
        effects: Effects[None] = Effects()
        for record in batch.records:
            try:
                fact = _fact(record, datasets.known(record.value.header.dataset_id), tenant, stream_clock)
            except Rejected as error:
                effects.rejections.append(Rejection(record, error))
            else:
                effects.outputs.append(_output(fact, record))
        return effects

    return Stage(name="ingestion", source=INBOUND, step=accept, outputs=(EVENTS,), prepare=learn)


def _fact(record: Record[InboundMessage], dataset: Dataset | None, tenant: str, stream_clock: bool) -> Fact:
    asked = record.value.header.dataset_id
    if dataset is None:
        raise Rejected(f"there is no dataset {asked!r}; register it first", Reason.UNKNOWN_DATASET)
    if dataset.type == "tick" and not stream_clock:
        raise Rejected("ticks move the stream clock; this system runs on the wall clock", Reason.TIME)
    received_at = log_time(record, stream_clock=stream_clock)
    return make_fact(record.value, dataset, tenant, received_at, (INBOUND.name, record.partition, record.offset))


def log_time(record: Record[InboundMessage], *, stream_clock: bool) -> int:
    """Returns the instant (µs) at which a message was accepted.

    The broker's append time has a resolution of one millisecond; its end is taken, so that an event stamped by its
    client within that millisecond does not lie in the future. Replays bring their own in a header.
    """
    header = record.header(RECEIVED_AT_HEADER) if stream_clock else None
    if header is None:
        return record.timestamp_ms * 1000 + 999
    if not header.isdigit() or len(header) > 18:
        raise Rejected(f"header {RECEIVED_AT_HEADER} must be decimal microseconds, found {header[:40]!r}", Reason.TIME)
    return int(header)


def _output(fact: Fact, record: Record[InboundMessage]) -> Output:
    if fact.type == "tick":
        return Output(EVENTS, None, fact, partition=record.partition, timestamp_ms=record.timestamp_ms)
    return Output(EVENTS, fact.profile_id, fact, trace_of(record.headers), timestamp_ms=record.timestamp_ms)
