"""Records of `inbound` become facts of `events`."""

from typing import Any

from services.ingestion.domain.acceptance import Dataset
from services.ingestion.domain.facts import ClockKind, step
from shared.contracts.facts import Fact
from shared.contracts.headers import TRACEPARENT
from shared.contracts.inbound import RECEIVED_AT_HEADER, InboundMessage
from shared.contracts.topics import EVENTS
from shared.kernel.errors import Reason
from shared.kernel.ids import profile_id
from shared.runtime.stage import Batch, Effects, Record
from tests.unit.services.ingestion.builders import ANN, NOON_US, builtin, dataset, event, message, record

REPLAYED = ((RECEIVED_AT_HEADER, b"1000000"),)


def run(*records: Record[InboundMessage], clock: ClockKind = "wall", known: tuple[Dataset, ...] = ()) -> Effects[Any]:
    datasets = {found.id: found for found in known or (dataset(),)}
    return step(lambda: datasets, "default", clock, Batch(3, records, (), {}))


def fact_of(*args: Any, **kwargs: Any) -> Fact:
    (output,) = run(*args, **kwargs).outputs
    assert isinstance(output.value, Fact)
    return output.value


def test_an_event_becomes_a_fact_keyed_by_its_profile() -> None:
    (output,) = run(record(message(event()))).outputs

    ann = profile_id("default", "Email", "ann@example.com")
    assert (output.topic, output.key, output.partition) == (EVENTS, ann, None)
    assert output.value.type == "event"
    assert output.value.id == "e1"
    assert output.value.body == event()
    assert output.timestamp_ms == NOON_US // 1000


def test_on_the_wall_clock_log_time_is_the_end_of_kafkas_millisecond() -> None:
    fact = fact_of(record(message(event()), REPLAYED))

    assert fact.received_at == NOON_US + 999


def test_on_the_stream_clock_the_replays_log_time_is_honoured() -> None:
    fact = fact_of(record(message(event()), REPLAYED), clock="stream")

    assert fact.received_at == 1_000_000


def test_on_the_stream_clock_a_live_record_has_kafkas_time() -> None:
    assert fact_of(record(message(event())), clock="stream").received_at == NOON_US + 999


def test_a_bad_log_time_header_is_a_dead_letter() -> None:
    for header in (b"soon", b"-5", b"9" * 19, b"\xb2"):
        (rejection,) = run(record(message(event()), ((RECEIVED_AT_HEADER, header),)), clock="stream").rejections
        assert rejection.error.reason is Reason.TIME


def test_a_record_without_id_and_time_takes_its_place_in_the_log() -> None:
    entity = {"identityMap": ANN, "person": {"birthYear": 1990}}
    known = (dataset(kind="profile"),)

    first, again, next_ = (fact_of(record(message(entity), offset=offset), known=known) for offset in (7, 7, 8))

    assert first.type == "record"
    assert first.occurred_at == first.received_at
    assert first.id == again.id != next_.id


def test_a_score_is_a_fact_of_its_own_type_on_the_profile_it_names() -> None:
    entity = event(identityMap={"ProfileId": [{"id": "a" * 32, "primary": True}]}, _freshet={"propensity": 0.5})

    fact = fact_of(record(message(entity, "freshet-scores")), known=(builtin("freshet-scores"),))

    assert (fact.type, fact.profile_id, fact.identities) == ("score", "a" * 32, ())


def test_a_tick_stays_in_its_partition_and_belongs_to_nobody() -> None:
    tick = record(message({}, "freshet-ticks"), REPLAYED, partition=5)

    (output,) = run(tick, clock="stream", known=(builtin("freshet-ticks"),)).outputs

    assert (output.key, output.partition) == (None, 5)
    assert (output.value.type, output.value.profile_id, output.value.received_at) == ("tick", "", 1_000_000)


def test_a_tick_on_the_wall_clock_is_a_dead_letter() -> None:
    (rejection,) = run(record(message({}, "freshet-ticks")), known=(builtin("freshet-ticks"),)).rejections

    assert "wall clock" in rejection.error.message


def test_what_is_rejected_takes_nothing_else_with_it() -> None:
    bad = record(message(event(timestamp="never")), offset=8)
    lost = record(message(event(), "nowhere"), offset=9)

    effects = run(record(message(event())), bad, lost, record(message(event(_id="e2")), offset=10))

    assert [output.value.id for output in effects.outputs] == ["e1", "e2"]
    reasons = [(rejection.record.offset, rejection.error.reason) for rejection in effects.rejections]
    assert reasons == [(8, Reason.TIME), (9, Reason.UNKNOWN_DATASET)]


def test_the_trace_context_travels_on_and_other_headers_stay_behind() -> None:
    trace = (TRACEPARENT, b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")

    (output,) = run(record(message(event()), (*REPLAYED, trace)), clock="stream").outputs

    assert output.headers == (trace,)
