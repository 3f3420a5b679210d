"""Segments are checked against the union schema that the service answers: names that no schema has are refused."""

import pytest

from shared import pql
from tests.unit.services.ingestion.doors import Doors


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('homeAdress.countryCode = "US"', "did you mean `homeAddress`?"),
        ('homeAddress.contryCode = "US"', "did you mean `countryCode`?"),
        ("xEvent.sum(commerce.order.priceTotl) > 1", "did you mean `priceTotal`?"),
        ('eventType = "commerce.purchases"', "it is a field of the events"),
        ("nothingOfTheKind > 1", "known are "),
    ],
)
async def test_a_misspelt_field_does_not_pass(doors: Doors, text: str, hint: str) -> None:
    schema = pql.Schema.from_json_schema((await doors.client.get("/schemas/union")).json())

    with pytest.raises(pql.CheckError) as refusal:
        pql.compile_segment(text, schema)

    assert (refusal.value.hint or "").startswith(hint)


async def test_neither_half_of_the_union_is_open(doors: Doors) -> None:
    schema = pql.Schema.from_json_schema((await doors.client.get("/schemas/union")).json())

    assert (False, False) == (schema.profile.open, schema.event.open)
