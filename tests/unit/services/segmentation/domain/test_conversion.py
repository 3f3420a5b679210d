"""Text and tree say the same."""

import json

import pytest

from services.segmentation.domain.conversion import to_text, to_tree
from shared import pql
from tests.unit.services.segmentation.builders import BOUGHT_THIS_WEEK


def test_a_tree_becomes_the_text_it_came_from() -> None:
    tree = to_tree(BOUGHT_THIS_WEEK)

    assert tree == to_tree(to_text("pql/json", tree))
    assert to_text("pql/json", tree) == to_text("pql/json", json.dumps(tree))


@pytest.mark.parametrize(
    "tree",
    [
        "no json",
        "[1]",
        {"nodeType": "riddle"},
        {"nodeType": "fnApply", "fnName": ":Query", "params": [1, 2]},
        {"nodeType": "fnApply", "fnName": ":Chain", "params": [1, 2, "x"]},
        "[" * 100_000,
    ],
)
def test_a_tree_that_is_no_expression_is_refused(tree: object) -> None:
    with pytest.raises(pql.PqlError):
        to_text("pql/json", tree)  # type: ignore[arg-type]


def test_an_object_is_not_text() -> None:
    with pytest.raises(pql.PqlError, match="did you mean format pql/json"):
        to_text("pql/text", {"nodeType": "literal"})
