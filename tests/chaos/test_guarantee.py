"""What is promised is written in both places, word for word, and each clause names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (Path(__file__).parent / "GUARANTEE.md").read_text()
SENTENCES = (
    "An event answered 2xx, or written to `inbound` with acks=all, is durable per your Kafka settings and is reflected "
    "exactly once in profiles, segments, features and scores after any crash of any Freshet process or of Redis, "
    "including total loss of Redis, as long as Kafka retains the log from the last snapshot's offsets. Public outputs "
    "(memberships, scores, webhooks) are at-least-once with deterministic ids; consumers that drop repeated ids see "
    "each change once, in order per profile."
)
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE)))


@pytest.mark.parametrize("page", ["README.md", "shared/runtime/README.md"])
def test_the_guarantee_is_published_word_for_word(page: str) -> None:
    text = " ".join((ROOT / page).read_text().replace("\n> ", " ").split())

    assert SENTENCES in text


def test_every_word_of_the_guarantee_stands_in_the_table_of_its_tests() -> None:
    table, _, _ = TABLE.partition("## The checks")
    clauses = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][1:]

    def words(text: str) -> list[str]:
        return re.findall(r"[\w'`=-]+", text)

    assert words(SENTENCES) == [word for clause in clauses for word in words(clause)]


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_each_test_that_the_table_names_exists(file: str, name: str) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)

    assert name in {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, functions)}
