"""Whatever is done to a `pql/json` tree, it is read, or refused with the place that does not fit."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.pql import LimitError, PqlError, Schema, TreeError, compile_segment, from_json, parse, print_query, to_json
from shared.pql.pqljson import SHAPES
from shared.pql.syntax import Query
from tests.support.naive.generate import Generator

SEEDS = st.integers(0, 2**40)
QUICK = settings(max_examples=1_500, deadline=None, suppress_health_check=list(HealthCheck))
JUNK: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2**70, 1.5, -0.0, float("inf"), float("nan"), "", "a", "`", "\n", "\ud800", "day", "<="),
    *([], [1], {}, {"nodeType": "literal"}, [[]], "and", "count", "filter", "if", "-", ":Name", "xEvent", "timestamp"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all parts of a document."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def mutated(seed: int) -> Any:
    """A valid tree after one to four mutations: parts replaced, removed, doubled, or moved elsewhere."""
    random = Random(seed)
    document = to_json(parse(Generator(seed).condition(random.choice((0, 1)))))
    for _ in range(random.randint(1, 4)):
        known = [path for path in places(document) if path]
        if not known:
            break
        *parent, key = random.choice(known)
        holder = at(document, tuple(parent))
        match random.randrange(5):
            case 0:
                holder[key] = random.choice(JUNK)
            case 1:
                del holder[key]
            case 2:
                holder[key] = copy.deepcopy(at(document, random.choice(known)))
            case 3 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case _:
                holder[key] = {"nodeType": "fnApply", "fnName": f":{random.choice([*SHAPES])}", "params": [holder[key]]}
    return document


def judged(document: Any) -> TreeError | LimitError | Query:
    """The query of a document, or how it is refused; nothing else may come out."""
    try:
        return from_json(document)
    except (TreeError, LimitError) as error:
        return error


@QUICK
@given(SEEDS)
def test_a_mutated_tree_is_read_or_refused_and_what_is_read_can_be_printed(seed: int) -> None:
    query = judged(mutated(seed))

    if isinstance(query, TreeError):
        assert str(query).startswith(f'tree error at "{query.pointer}"' if query.pointer else "tree error at the root")
    elif not isinstance(query, LimitError):
        text = print_query(query)
        with suppress(LimitError):
            assert query == parse(text), text
        with suppress(PqlError):
            compile_segment(text, Schema.permissive())


@QUICK
@given(st.recursive(st.sampled_from(JUNK), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_document_is_read_or_refused(document: Any) -> None:
    found = judged(document)

    assert not isinstance(found, PqlError) or "expected" in str(found)


LITERAL = {"nodeType": "literal", "literalType": "Integer", "value": 1}


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([1], ""),
        ({"nodeType": "riddle"}, "/nodeType"),
        ({"nodeType": "literal", "literalType": "Integer", "value": "1"}, "/value"),
        ({"nodeType": "literal", "literalType": "Int", "value": 1}, "/literalType"),
        ({"nodeType": "parameterReference", "position": 0}, "/position"),
        ({"nodeType": "fieldLookup", "fieldName": "a", "object": 5}, "/object"),
        ({"nodeType": "fnApply", "fnName": "coutn", "params": [LITERAL]}, "/fnName"),
        ({"nodeType": "fnApply", "fnName": "count", "params": []}, "/params"),
        ({"nodeType": "fnApply", "fnName": "=", "params": [LITERAL, {"nodeType": "literal"}]}, "/params/1/literalType"),
        ({"nodeType": "fnApply", "fnName": "=", "params": [LITERAL]}, "/params"),
        ({"nodeType": "fnApply", "fnName": ":Chain", "params": [LITERAL, [], None]}, "/params/1"),
        ({"nodeType": "fnApply", "fnName": ":Chain", "params": [1, 2]}, "/params"),
        ({"nodeType": "fnApply", "fnName": ":TimeWord", "params": ["noon", None]}, "/params/0"),
        ({"nodeType": "fnApply", "fnName": ":Filter", "params": [LITERAL, {"fnName": "~/"}]}, "/params/1/nodeType"),
    ],
)
def test_an_error_points_to_the_part_that_does_not_fit(document: Any, pointer: str) -> None:
    with pytest.raises(TreeError) as refusal:
        from_json(document)

    assert pointer == refusal.value.pointer
    assert {"stage": "tree", "pointer": pointer, "hint": refusal.value.hint} == refusal.value.details()


def test_a_tree_too_high_or_too_large_is_refused_with_the_limit() -> None:
    nested: Any = LITERAL
    for _ in range(5_000):
        nested = {"nodeType": "fieldLookup", "fieldName": "a", "object": nested}
    brackets: Any = []
    for _ in range(5_000):
        brackets = [brackets]

    with pytest.raises(LimitError, match="64"):
        from_json(nested)
    with pytest.raises(LimitError, match="4000"):
        from_json({"nodeType": "fnApply", "fnName": ":ArrayLiteral", "params": [[LITERAL] * 5_000]})
    with pytest.raises(TreeError):
        from_json({"nodeType": "fnApply", "fnName": ":ArrayLiteral", "params": [brackets]})


def test_every_tree_of_the_language_is_json() -> None:
    for seed in range(200):
        tree = to_json(parse(Generator(seed).condition(2)))

        assert tree == json.loads(json.dumps(tree))
