"""Every form of the language is judged by both evaluators, and none is without its example."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.pql import parse, syntax
from shared.pql.cursor import UNITS
from shared.pql.forms import AGGREGATES, TIME_WORDS
from shared.pql.functions import FUNCTIONS, METHODS, OPERATORS
from tests.golden.pql.golden import blocks
from tests.unit.shared.pql.cases import Happening, judged, measured
from tests.unit.shared.pql.coverage import EVENTS, FORMS, PROFILE, TABLE, Form, table

VALUES = {"10", "38"}
"""Examples that are no conditions."""
NOT_SO = {"3", "4", "6", "28", "33"}
"""Examples that do not describe the shopper: gold, at acme, has bought since, was here lately."""
SEGMENTS = {"seg-a": 'loyalty.tier = "gold"', "seg-b": 'loyalty.tier = "silver"'}
SHOPPER: dict[str, Any] = {
    "homeAddress": {"countryCode": "KR", "city": "Seoul", "stateProvince": "11"},
    "shippingAddress": {"stateProvince": "26"},
    "person": {"birthYear": 1992, "birthDate": "1992-02-11", "name": {"firstName": "ANA", "lastName": "MacKay"}},
    "loyalty": {"tier": "gold"},
    "personalEmail": {"address": "ana@acme.example.org"},
    "_freshet": {"propensity": 0.93},
    "interests": ["run", "yoga", "chess", "tea"],
    "offeredTopics": ["tea", "run"],
    "identityMap": {"Email": [{"id": "a"}]},
    "consents": {"email": "y"},
    "memberSince": "2023-06-30T23:59:59Z",
    "nextRenewal": "2024-03-01T00:00:00Z",
    "lastLogin": "2024-02-28T00:00:00Z",
    "orders": [{"total": 501}, {"total": 3}],
    "visits": 25,
    "sessions": 10,
    "favoriteCities": ["Oslo"],
    "visitedCities": ["Oslo", "Rome"],
}
"""Someone whom nearly all examples describe."""


def _order(total: float, currency: str = "EUR", **more: Any) -> dict[str, Any]:
    return {"commerce": {"order": {"priceTotal": total, "currencyCode": currency}}, **more}


_ERROR = {"web": {"webPageDetails": {"isErrorPage": True}}}
_Z9 = {"SKU": "Z9", "priceTotal": 60, "quantity": 4}
SHOPPING: list[Happening] = [
    ("2024-01-20T10:00:00Z", "web.formFilledOut", {"placeContext": {"geo": {"countryCode": "JP"}}}),
    *((f"2024-02-0{day}T10:00:00Z", "error", _ERROR) for day in range(1, 6)),
    ("2024-02-29T08:00:00Z", "commerce.productViews", {"productListItems": [_Z9], "price": 30}),
    ("2024-02-29T09:00:00Z", "commerce.productListAdds", {}),
    ("2024-02-29T10:00:00Z", "commerce.checkouts", {"productListItems": [_Z9]}),
    ("2024-02-29T10:30:00Z", "commerce.purchases", _order(180.5, channel="web")),
    ("2024-02-29T11:00:00Z", "commerce.purchases", _order(21, "USD", channel="app")),
]


TEXTS = tuple(text for form in FORMS for text in (form.holds, form.fails))
OTHERS = {"gold": 'tier = "gold"'}


def nodes(value: Any) -> Iterator[Any]:
    """All parts of a tree, `when`s and steps included."""
    if isinstance(value, tuple):
        for item in value:
            yield from nodes(item)
    elif is_dataclass(value):
        yield value
        for part in fields(value):
            yield from nodes(getattr(value, part.name))


NODES = tuple(node for text in TEXTS for node in nodes(parse(text)))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.section}: {form.name}")
def test_a_form_means_what_its_examples_say(form: Form) -> None:
    assert judged(form.holds, PROFILE, EVENTS, others=OTHERS) is True
    assert judged(form.fails, PROFILE, EVENTS, others=OTHERS) is False


def test_every_function_method_and_operator_has_an_example() -> None:
    used = {node.function for node in NODES if isinstance(node, syntax.Call)}
    # `a.filter(c)` is only another spelling of `a[c]`, and leaves no trace in the tree.
    used |= {"filter"} if any(".filter(" in text for text in TEXTS) else set()

    assert {*FUNCTIONS, *METHODS, *OPERATORS} == used


def test_every_node_of_the_grammar_has_an_example() -> None:
    grammar = {kind for kind in vars(syntax).values() if isinstance(kind, type) and issubclass(kind, syntax.Node)}

    assert grammar - {syntax.Node} == {type(node) for node in NODES if isinstance(node, syntax.Node)}


def test_every_unit_word_and_comprehension_has_an_example() -> None:
    words = {word for text in TEXTS for word in re.findall(r"\w+", text)}
    which = {node.which for node in NODES if isinstance(node, syntax.CalendarUnit)}

    assert set(UNITS) <= words
    assert set(TIME_WORDS) == {node.word for node in NODES if isinstance(node, syntax.TimeWord)}
    assert {"this", "last", "next"} == which
    assert set(AGGREGATES) == {node.function for node in NODES if isinstance(node, syntax.Aggregate)}


def test_every_distance_in_every_direction_has_an_example() -> None:
    expected = {(sign, way) for sign in ("<=", "<", ">", ">=", "=") for way in ("before", "after", "from")}

    assert expected == {(node.comparison, node.direction) for node in NODES if isinstance(node, syntax.Distance)}


def test_every_form_beyond_the_reference_has_an_example() -> None:
    readme = (Path(TABLE).parent / "README.md").read_text()
    rows = readme.split("| Beyond PQL | Form |")[1].split("\n\n")[0].strip().splitlines()[1:]
    told = {row.split("|")[1].strip() for row in rows}

    shown = {form.name.split(":")[0] for form in FORMS if form.section == "Beyond PQL"}

    assert {name for name in told if not any(_same(name, one) for one in shown)} == set()


def _same(told: str, shown: str) -> bool:
    return told.startswith(shown) or shown.startswith(told)


@pytest.mark.parametrize("title", [title for title in blocks("examples.pql") if title.split()[0] not in VALUES])
def test_an_example_of_the_reference_holds_for_whom_it_describes(title: str) -> None:
    expected = title.split()[0] not in NOT_SO

    assert judged(blocks("examples.pql")[title], SHOPPER, SHOPPING, others=SEGMENTS) is expected


def test_examples_that_are_values_have_their_values() -> None:
    texts = {title.split()[0]: text for title, text in blocks("examples.pql").items()}

    assert judged(f'{texts["10"]} = "other"', SHOPPER) is True
    assert measured(f'{texts["38"]}.get("web")', SHOPPER, SHOPPING) == 1.0


def test_the_table_of_the_forms_is_up_to_date() -> None:
    assert table() == TABLE.read_text(), "run `python -m tests.unit.shared.pql.coverage --write`"
