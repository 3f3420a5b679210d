"""Every example of the language keeps its plan, every typical mistake its message."""

import pytest

from shared.pql import PqlError, Schema, build_plan, compile_feature, compile_segment, explain
from shared.pql.errors import CheckError
from shared.pql.plan import Expression, SegmentSpec
from tests.golden.pql.golden import agree, blocks

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
INSTANT = {"type": "string", "format": "date-time"}


def of(**fields: object) -> dict[str, object]:
    return {"type": "object", "properties": fields}


PROFILE = of(
    homeAddress=of(countryCode=TEXT, city=TEXT),
    person=of(birthYear={"type": "integer"}, name=of(firstName=TEXT, lastName=TEXT)),
    memberSince=INSTANT,
    consents=of(marketing={"type": "boolean"}),
)
EVENT = of(commerce=of(order=of(priceTotal=NUMBER, currencyCode=TEXT)), web=of(URL=TEXT), price=NUMBER)
STRICT = Schema.from_json_schema(PROFILE, EVENT)


def compiled(text: str) -> Expression:
    try:
        return compile_segment(text, Schema.permissive())
    except CheckError:
        # The derived label and the map of the examples are values, not conditions.
        return compile_feature(
            f"{text}.count()" if "mapEntry" not in text else f"{text}.keys().count()", Schema.permissive()
        )


def test_the_plans_of_the_examples_are_as_reviewed(request: pytest.FixtureRequest) -> None:
    examples = {title: text for title, text in blocks("examples.pql").items() if not text.startswith("if(")}

    made = {title: f"{text}\n\n{explain(compiled(text))}" for title, text in examples.items()}

    agree("plans.golden", made, request)


def test_the_examples_live_in_one_plan() -> None:
    expressions = [
        compiled(text) for title, text in blocks("examples.pql").items() if title.split()[0] not in ("10", "38")
    ]

    plan = build_plan([SegmentSpec(f"s{n}", 1, expression) for n, expression in enumerate(expressions)])

    assert len(plan.segments) == 40
    assert len(plan.leaves) < len([e for e in expressions if "xEvent" in e.text]) + 2


def test_the_messages_of_typical_mistakes_are_as_reviewed(request: pytest.FixtureRequest) -> None:
    made = {}
    for title, text in blocks("errors.pql").items():
        with pytest.raises(PqlError) as refusal:
            compile_segment(text, STRICT)
        made[title] = f"{text}\n\n{refusal.value}"

    agree("errors.golden", made, request)


@pytest.mark.parametrize("title", blocks("errors.pql"))
def test_a_typical_mistake_is_told_where_it_is_and_what_to_write_instead(title: str) -> None:
    text = blocks("errors.pql")[title]

    with pytest.raises(PqlError) as refusal:
        compile_segment(text, STRICT)

    error = refusal.value
    lines = text.split("\n")
    assert 1 <= error.line <= len(lines)
    assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    assert error.span.start < error.span.end or error.span.start == len(text)
    assert error.hint
    assert not text or "^" in str(error).split("\n")[2]
    assert "(s)" not in str(error)
