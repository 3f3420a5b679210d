"""The language has one door: whoever is outside of `shared/pql` uses the names its package exports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import pql

ROOT = Path(__file__).parents[2]
OUTSIDE = sorted(
    path
    for folder in ("services", "shared", "deploy")
    for path in (ROOT / folder).rglob("*.py")
    if (ROOT / "shared" / "pql") not in path.parents
)


def reached_into(tree: ast.AST) -> Iterator[str]:
    """The modules below `shared.pql` that are imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("shared.pql."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module.startswith("shared.pql."):
                yield node.module
            elif node.module == "shared.pql":
                yield from (f"shared.pql.{alias.name}" for alias in node.names if alias.name not in pql.__all__)


def test_nobody_outside_reaches_into_the_modules_of_the_language() -> None:
    found = {str(path.relative_to(ROOT)): sorted(reached_into(ast.parse(path.read_text()))) for path in OUTSIDE}

    assert {} == {path: modules for path, modules in found.items() if modules}


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("from shared.pql.evaluator import Run", ["shared.pql.evaluator"]),
        ("import shared.pql.cost", ["shared.pql.cost"]),
        ("from shared.pql import planner", ["shared.pql.planner"]),
        ("from shared.pql import Plan, evaluate", []),
        ("from shared import pql", []),
    ],
)
def test_reaching_in_is_noticed(text: str, modules: list[str]) -> None:
    assert modules == list(reached_into(ast.parse(text)))


def test_the_face_exports_what_it_says_in_order() -> None:
    assert sorted(pql.__all__, key=str) == list(pql.__all__)
    assert all(hasattr(pql, name) for name in pql.__all__)
