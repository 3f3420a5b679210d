"""What may become a fact, and how what may not is told."""

from typing import Any

import pytest

from services.ingestion.domain.acceptance import DEPTH_MAX, EVENT_BYTES_MAX, accept
from services.ingestion.errors import InvalidMessageError
from shared.contracts.inbound import InboundBody, InboundHeader, InboundMessage
from shared.kernel.errors import Reason, Rejected
from shared.kernel.ids import profile_id
from tests.unit.services.ingestion.builders import NOON_US, builtin, dataset, event, message


def reason_of(entity: dict[str, Any], **fields: Any) -> Reason:
    with pytest.raises(Rejected) as refused:
        accept(message(entity), dataset(**fields), "default")
    return refused.value.reason


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_a_valid_event_belongs_to_the_profile_of_its_primary_identity() -> None:
    accepted = accept(message(event()), dataset(), "default")

    assert accepted.profile_id == profile_id("default", "Email", "ann@example.com")
    assert (accepted.id, accepted.occurred_at) == ("e1", NOON_US)


def test_tenants_have_different_profiles_of_one_identity() -> None:
    one, other = (accept(message(event()), dataset(), tenant).profile_id for tenant in ("a", "b"))

    assert one != other


def test_the_reserved_namespace_names_the_profile_and_is_no_identity_of_it() -> None:
    entity = event(identityMap={"ProfileId": [{"id": "0" * 32, "primary": True}]})

    accepted = accept(message(entity), dataset(), "default")

    assert (accepted.profile_id, accepted.identities) == ("0" * 32, ())


def test_every_broken_rule_is_told_with_its_place_but_not_its_value() -> None:
    entity = event(person={"birthYear": 1066}, code="SECRET", tier="iron")

    with pytest.raises(InvalidMessageError) as refused:
        accept(message(entity), dataset(), "default")

    told = {(v.pointer, v.keyword, v.schema_location) for v in refused.value.violations}
    assert told == {
        ("/person/birthYear", "minimum", "#/properties/person/properties/birthYear/minimum"),
        ("/code", "pattern", "#/properties/code/pattern"),
        ("/tier", "enum", "#/properties/tier/enum"),
    }
    assert "SECRET" not in refused.value.message
    assert "1066" not in refused.value.message


def test_no_more_than_five_broken_rules_are_told() -> None:
    schema = {"properties": {f"f{i}": {"type": "string"} for i in range(9)}}
    entity = event(**{f"f{i}": i for i in range(9)})

    with pytest.raises(InvalidMessageError) as refused:
        accept(message(entity), dataset(schema=schema), "default")

    assert len(refused.value.violations) == 5


@pytest.mark.parametrize("id_", [None, "", 7, "x" * 1025])
def test_an_event_needs_an_id_of_its_own(id_: Any) -> None:
    assert reason_of(event(_id=id_)) is Reason.ENVELOPE


@pytest.mark.parametrize("at", [None, "", "yesterday", 1769860800, "2026-02-30T00:00:00Z", "2026-01-31T23:59:60Z"])
def test_an_event_needs_a_time(at: Any) -> None:
    assert reason_of(event(timestamp=at)) is Reason.TIME


def test_a_record_needs_neither_id_nor_time() -> None:
    accepted = accept(message(event(_id=None, timestamp=None)), dataset(kind="profile"), "default")

    assert (accepted.id, accepted.occurred_at) == ("", None)


def test_an_entity_may_be_nested_to_the_limit_and_no_deeper() -> None:
    accept(message(event(x=nested(DEPTH_MAX - 1))), dataset(), "default")

    assert reason_of(event(x=nested(DEPTH_MAX))) is Reason.TOO_DEEP
    assert reason_of(event(x=nested(5_000))) is Reason.TOO_DEEP


def test_many_brackets_side_by_side_are_not_deep() -> None:
    accept(message(event(x=[{"a": [1]} for _ in range(200)])), dataset(), "default")


def test_an_event_has_a_size_limit() -> None:
    accept(message(event(x="a" * (EVENT_BYTES_MAX - 300))), dataset(), "default")

    assert reason_of(event(x="a" * EVENT_BYTES_MAX)) is Reason.TOO_BIG


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_integers_beyond_64_bits_are_refused(number: int) -> None:
    assert reason_of(event(rank=number)) is Reason.NON_FINITE


def test_only_models_write_the_field_of_scores() -> None:
    assert reason_of(event(_freshet={"propensity": 0.9})) is Reason.SCHEMA

    scores = builtin("freshet-scores")
    accept(message(event(_freshet={"propensity": 0.9}), "freshet-scores"), scores, "default")


def test_a_disabled_dataset_takes_nothing() -> None:
    assert reason_of(event(), enabled=False) is Reason.UNKNOWN_DATASET


def test_a_message_that_names_another_schema_is_refused() -> None:
    accept(message(event(), schema_ref="shop-schema"), dataset(), "default")

    with pytest.raises(Rejected, match="names schema 'other'"):
        accept(message(event(), schema_ref="other"), dataset(), "default")


def test_the_inner_schema_reference_counts_too() -> None:
    body = InboundBody(event(), {"schemaRef": {"id": "other"}})

    with pytest.raises(Rejected, match="names schema 'other'"):
        accept(InboundMessage(InboundHeader("shop"), body), dataset(), "default")
