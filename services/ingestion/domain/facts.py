"""Turns the records of `inbound` into facts of `events`: the pure step of the stage."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from services.ingestion.domain.acceptance import Dataset, accept
from shared.contracts.facts import Fact
from shared.contracts.headers import trace_of
from shared.contracts.inbound import RECEIVED_AT_HEADER, InboundMessage
from shared.contracts.topics import EVENTS
from shared.kernel.clock import DAY
from shared.kernel.errors import Reason, Rejected
from shared.kernel.ids import digest_id
from shared.runtime.stage import Batch, Effects, Output, Record, Rejection

_INSTANT_MAX = 2_932_896 * DAY
"""Midnight before 9999-12-31, the last day that instants can be written as."""

ClockKind = Literal["wall", "stream"]


def step(
    known: Callable[[], Mapping[str, Dataset]], tenant: str, clock: ClockKind, batch: Batch[InboundMessage, Any]
) -> Effects[Any]:
    """Validates, identifies and keys each record; what cannot become a fact is rejected with its reason.

    `known` is asked once per batch, so that all its records are judged by the same registrations.
    """
    effects: Effects[Any] = Effects()
    outputs = effects.outputs
    datasets = known()
    for record in batch.records:
        try:
            outputs.append(_output(datasets, tenant, clock, record))
        except Rejected as error:
            effects.rejections.append(Rejection(record, error))
    return effects


def _output(datasets: Mapping[str, Dataset], tenant: str, clock: ClockKind, record: Record[InboundMessage]) -> Output:
    message = record.value
    dataset = datasets.get(message.header.dataset_id)
    if dataset is None:
        raise unknown_dataset(message.header.dataset_id)
    received_at = _received_at(record, clock)
    trace = trace_of(record.headers) if record.headers else ()
    if dataset.fact_type == "tick":
        tick = _tick(tenant, clock, record.partition, received_at)
        return Output(EVENTS, None, tick, trace, record.partition, record.timestamp_ms)
    accepted = accept(message, dataset, tenant)
    fact = Fact(
        id=accepted.id or digest_id("record", dataset.id, str(record.partition), str(record.offset)),
        type=dataset.fact_type,
        tenant=tenant,
        profile_id=accepted.profile_id,
        occurred_at=received_at if accepted.occurred_at is None else accepted.occurred_at,
        received_at=received_at,
        dataset_id=dataset.id,
        identities=accepted.identities,
        body=message.body.xdm_entity,
    )
    return Output(EVENTS, accepted.profile_id, fact, trace, None, record.timestamp_ms)


def unknown_dataset(dataset_id: str) -> Rejected:
    return Rejected(
        f"there is no dataset {dataset_id[:200]!r}; register it with POST /datasets and send again",
        Reason.UNKNOWN_DATASET,
    )


def _received_at(record: Record[InboundMessage], clock: ClockKind) -> int:
    """Log time: the replay's header on the stream clock, otherwise the end of Kafka's millisecond.

    The end, because everything that happened within the millisecond has then happened.
    """
    header = record.header(RECEIVED_AT_HEADER) if clock == "stream" and record.headers else None
    if header is None:
        return record.timestamp_ms * 1000 + 999
    if not header.isdigit() or len(header) > 20 or int(header) > _INSTANT_MAX:
        raise Rejected(
            f"header {RECEIVED_AT_HEADER!r} must be microseconds since 1970 in decimal digits, found {header[:40]!r}",
            Reason.TIME,
        )
    return int(header)


def _tick(tenant: str, clock: ClockKind, partition: int, received_at: int) -> Fact:
    if clock != "stream":
        raise Rejected("ticks move the stream clock, but this service runs on the wall clock", Reason.ENVELOPE)
    return Fact(
        id=digest_id("tick", str(partition), str(received_at)),
        type="tick",
        tenant=tenant,
        profile_id="",
        occurred_at=received_at,
        received_at=received_at,
    )
