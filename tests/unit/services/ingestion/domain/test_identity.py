"""Whose record it is."""

from typing import Any

import pytest

from services.ingestion.domain.identity import IDENTITIES_MAX, identify
from shared.contracts.facts import Identity
from shared.kernel.errors import Reason, Rejected


def primary_of(identity_map: Any, path: tuple[str, ...] = (), **fields: Any) -> Identity:
    return identify({"identityMap": identity_map} | fields, path, "CRM")[0]


def test_the_identity_marked_primary_is_primary_and_stands_first() -> None:
    found = identify({"identityMap": {"ECID": [{"id": "1"}], "Email": [{"id": "a@x", "primary": True}]}}, (), "")

    assert found == (Identity("Email", "a@x", True), Identity("ECID", "1"))


def test_the_only_identity_is_primary_without_a_mark() -> None:
    assert primary_of({"ECID": [{"id": "1"}]}) == Identity("ECID", "1", True)


def test_of_several_marked_identities_the_first_by_namespace_is_taken_whatever_their_order() -> None:
    email, ecid = {"Email": [{"id": "a", "primary": True}]}, {"ECID": [{"id": "1", "primary": True}]}

    assert primary_of(email | ecid) == primary_of(ecid | email) == Identity("ECID", "1", True)


def test_exactly_one_identity_is_left_primary() -> None:
    found = identify(
        {"identityMap": {"Email": [{"id": "a", "primary": True}], "ECID": [{"id": "1", "primary": True}]}}, (), ""
    )

    assert [identity.primary for identity in found] == [True, False]


def test_the_described_field_goes_before_the_identity_map() -> None:
    found = identify(
        {"identityMap": {"Email": [{"id": "a", "primary": True}]}, "_shop": {"id": "c1"}}, ("_shop", "id"), "CRM"
    )

    assert found == (Identity("CRM", "c1", True), Identity("Email", "a"))


def test_without_the_described_field_the_identity_map_decides() -> None:
    assert primary_of({"ECID": [{"id": "1"}]}, ("_shop", "id")) == Identity("ECID", "1", True)


def test_the_described_identity_is_not_listed_twice() -> None:
    found = identify({"identityMap": {"CRM": [{"id": "c1"}]}, "id": "c1"}, ("id",), "CRM")

    assert found == (Identity("CRM", "c1", True),)


@pytest.mark.parametrize(
    ("identity_map", "said"),
    [
        (None, "'identityMap' is missing or empty"),
        ({}, "'identityMap' is missing or empty"),
        ({"Email": []}, "'identityMap' is missing or empty"),
        ({"Email": [{"id": "a"}], "ECID": [{"id": "1"}]}, "2 identities and none is marked"),
        ([], "must be an object of arrays"),
        ({"Email": {"id": "a"}}, "must be an array"),
        ({"Email": ["a"]}, "must be a text of 1 to 1024"),
        ({"Email": [{"id": 7}]}, "must be a text of 1 to 1024"),
        ({"Email": [{"id": ""}]}, "must be a text of 1 to 1024"),
        ({"Email": [{"id": "a" * 1025}]}, "must be a text of 1 to 1024"),
        ({"": [{"id": "a"}]}, "namespace must have 1 to 128"),
        ({"ProfileId": [{"id": "../../etc"}]}, "32 lower-case hex digits"),
        ({"ECID": [{"id": str(n)} for n in range(IDENTITIES_MAX + 1)]}, "more than 20 identities"),
    ],
)
def test_what_is_no_identity_is_refused_with_the_reason(identity_map: Any, said: str) -> None:
    with pytest.raises(Rejected) as refused:
        primary_of(identity_map)

    assert refused.value.reason is Reason.IDENTITY
    assert said in refused.value.message
