"""Text, tree and JSON are three spellings of one thing."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.pql import from_json, parse, print_query, to_json
from tests.support.naive.generate import Generator

SEEDS = st.integers(0, 2**40)


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_parsing_the_printed_tree_gives_the_tree(seed: int) -> None:
    query = parse(Generator(seed).condition(2))

    assert parse(print_query(query)) == query


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_the_json_tree_loses_nothing(seed: int) -> None:
    query = parse(Generator(seed).condition(2))

    assert from_json(json.loads(json.dumps(to_json(query)))) == query
