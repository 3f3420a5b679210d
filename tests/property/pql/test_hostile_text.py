"""Whatever text comes, it is accepted within the limits or refused by a declared error, quickly."""

from contextlib import suppress
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.pql import (
    Expression,
    LimitError,
    PqlError,
    Schema,
    SegmentSpec,
    build_plan,
    compile_segment,
    explain,
    from_json,
    parse,
    print_query,
    to_json,
)
from tests.property.pql.hostile import corpus
from tests.property.pql.scenario import DECLARED, PERMISSIVE
from tests.support.naive.generate import Generator
from tests.support.steps import calls_of

CALLS_MAX = 1_500_000
"""In one answer: some 0.1 s of an idle core."""
CORPUS = corpus()
SEEDS = st.integers(0, 2**40)
SOUP = settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
WORDS = (
    *"()[]{},:.=<>+-*/%!$^\"'`\\;#&|\n",
    *("=>", "!=", "<=", ">=", "==", "and", "or", "not", "in", "notIn", "like", "occurs", "true", "false", "null"),
    *("if", "let", "exists", "forall", "select", "from", "where", "sum", "count", "over", "chain", "WHAT", "WHEN"),
    *("WITHIN", "timestamp", "xEvent", "now", "today", "last", "this", "month", "days", "before", "after", "between"),
    *("x", "y", "E", "a.b", "0", "1", "2.5", "7 days", '"a"', '"Europe/Berlin"', "2024-05-01", "$1", "^", "^^.x"),
    *(".count()", ".sum(x)", ".map((K) => K)", ".get(", ".isNull()", "since(", "date(2024, 1, 1)", "inSegment("),
    *("chain(xEvent, timestamp, [A: WHAT(x)])", "x occurs <= 1 day before now", "xEvent[", "E from xEvent where"),
)


def answered(text: str, schema: Schema = PERMISSIVE) -> Expression | PqlError:
    """The expression, or the declared error; nothing else may come out, and its message can be shown."""
    try:
        return compile_segment(text, schema)
    except PqlError as error:
        found = error
    assert 0 < len(str(found).encode()) < 4_000
    return found


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_text_is_answered_in_few_steps(name: str) -> None:
    assert calls_of(lambda: answered(CORPUS[name])) < CALLS_MAX


@pytest.mark.parametrize("name", CORPUS)
def test_what_is_accepted_can_be_planned_explained_and_printed(name: str) -> None:
    expression = answered(CORPUS[name])

    if isinstance(expression, Expression):
        build_plan([SegmentSpec("s", 1, expression)])
        explain(expression).encode()
        print_query(expression.query).encode()
        assert from_json(to_json(expression.query)) == expression.query


@SOUP
@given(st.lists(st.sampled_from(WORDS), max_size=25), st.sampled_from(("", " ")))
def test_a_soup_of_words_is_answered(words: list[str], between: str) -> None:
    settle(between.join(words))


@settings(SOUP, max_examples=3_000)
@given(SEEDS)
def test_an_expression_with_slips_of_the_pen_is_answered(seed: int) -> None:
    random = Random(seed)
    text = Generator(seed).condition(random.choice((0, 1, 2)))
    for _ in range(random.randint(1, 3)):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice((0, 0, 1, 2, 8)))
        text = text[:start] + random.choice(("", "", *WORDS, text[end : end + 5])) + text[end:]

    settle(text)


@settings(SOUP, max_examples=2_000)
@given(st.text(max_size=60))
def test_any_characters_are_answered(text: str) -> None:
    settle(text)


def settle(text: str) -> None:
    """A text is answered under both kinds of schema; what parses is printed and read without loss."""
    for schema in (PERMISSIVE, DECLARED):
        answered(text, schema)
    with suppress(PqlError):
        query = parse(text)
        with suppress(LimitError):
            assert parse(print_query(query)) == query
            assert from_json(to_json(query)) == query
