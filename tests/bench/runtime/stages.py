"""The stages that are measured: a bare aggregate, which the peers do too, and segmentation as the service runs it.

The aggregate's job, per event: decode its JSON, keep three numbers per profile (count, sum of order values, newest
`occurred_at`), write one JSON record with them, all durable before the next event of the profile counts as applied.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from services.segmentation import stream
from services.segmentation.domain.definitions import compile_definitions
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.topics import EVENTS, PROFILE_UPDATES, Topic
from shared.kernel.clock import Micros
from shared.runtime.stage import Batch, Effects, Output, Stage

AGGREGATE = "aggregate"
RINGING = "ringing"
"""The aggregate with a deadline at each event's `occurred_at`, if that is set: one output when it has come."""
RUNG = "rung"
"""The id of such an output."""
SEGMENTATION = "segmentation"


class Order(msgspec.Struct, rename="camel", gc=False):
    price_total: float = 0.0


class Commerce(msgspec.Struct, gc=False):
    order: Order | None = None


class Body(msgspec.Struct, gc=False):
    commerce: Commerce | None = None


class Event(msgspec.Struct, gc=False):
    """What the aggregate needs of a fact; the rest of the JSON is checked and skipped."""

    id: str
    occurred_at: int
    body: Body


class Total(msgspec.Struct, array_like=True, gc=False):
    """The state, and the output too, as JSON with its names in `Written`."""

    count: int = 0
    sum: float = 0.0
    last: int = 0


class Written(msgspec.Struct, gc=False):
    """One output: the event that caused it and the profile's numbers after it."""

    id: str
    count: int
    sum: float
    last: int


class TotalCodec:
    def __init__(self) -> None:
        self._decoder = msgspec.msgpack.Decoder(Total)
        self.encode = msgspec.msgpack.Encoder().encode

    def decode(self, raw: bytes) -> Total:
        return self._decoder.decode(raw)


_EVENTS = Topic("events", Event, EVENTS.key, EVENTS.producers, EVENTS.consumers, EVENTS.doc, dlq=True)
_TOTALS = Topic("profile-updates", Written, PROFILE_UPDATES.key, ("bench",), ("bench",), "Totals of the aggregate.")


def aggregate(batch: Batch[Event, Total]) -> Effects[Total]:
    """Counts and sums; one output per event, in the batch's own partition."""
    effects: Effects[Total] = Effects()
    states, touched, outputs, partition = batch.states, effects.states, effects.outputs, batch.partition
    for record in batch.records:
        key, event = record.key, record.value
        total = states.get(key)
        if total is None:
            total = states[key] = Total()
        total.count += 1
        if event.body.commerce is not None and event.body.commerce.order is not None:
            total.sum += event.body.commerce.order.price_total
        if event.occurred_at > total.last:
            total.last = event.occurred_at
        touched[key] = total
        written = Written(event.id, total.count, total.sum, total.last)
        outputs.append(Output(_TOTALS, key, written, (), partition, record.timestamp_ms))
    return effects


def ringing(batch: Batch[Event, Total]) -> Effects[Total]:
    """Sets deadlines and counts those that came."""
    effects = aggregate(batch)
    for record in batch.records:
        if record.value.occurred_at:
            effects.deadlines[record.key] = Micros(record.value.occurred_at)
    for due in batch.due:
        total = effects.states[due.key] = batch.states[due.key]
        total.count += 1
        effects.deadlines[due.key] = None
        written = Written(RUNG, total.count, total.sum, total.last)
        effects.outputs.append(Output(_TOTALS, due.key, written, (), batch.partition))
    return effects


def build(kind: str, expressions: Sequence[str]) -> Stage[Any, Any]:
    """Returns the stage of a kind; `expressions` are the segments that segmentation decides on."""
    if kind == AGGREGATE:
        return Stage(AGGREGATE, _EVENTS, aggregate, (_TOTALS,), TotalCodec())
    if kind == RINGING:
        return Stage(RINGING, _EVENTS, ringing, (_TOTALS,), TotalCodec())
    segments = [SegmentDefinition(f"s{i}", f"s{i}", text, version=1) for i, text in enumerate(expressions)]
    compiled = compile_definitions(segments, (), pql.Schema.permissive())
    return stream.stage(lambda: compiled)
