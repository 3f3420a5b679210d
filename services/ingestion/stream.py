"""The stage of ingestion: messages in, facts out."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from services.ingestion.domain.acceptance import Dataset
from services.ingestion.domain.facts import ClockKind, step
from shared.contracts.inbound import InboundMessage
from shared.contracts.topics import EVENTS, INBOUND
from shared.runtime.stage import Record, Stage


def stage(
    datasets: Callable[[], Mapping[str, Dataset]],
    learn: Callable[[set[str]], Awaitable[None]],
    tenant: str,
    clock: ClockKind,
) -> Stage[InboundMessage, Any]:
    """Returns the stateless stage. `learn` looks up datasets that are not known yet, before each micro-batch."""

    async def prepare(records: Sequence[Record[InboundMessage]]) -> None:
        await learn({record.value.header.dataset_id for record in records})

    return Stage(
        "ingestion", source=INBOUND, step=partial(step, datasets, tenant, clock), outputs=(EVENTS,), prepare=prepare
    )
