"""Which topics each service's code opens, read from its source."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shared.contracts import topics
from shared.contracts.topics import Topic
from tests.architecture.repository import SERVICES, imported_files, tree_of

_DECLARATIONS = Path(topics.__file__)
_BY_CONSTANT = {name: value for name, value in vars(topics).items() if isinstance(value, Topic)}


@dataclass
class Opened:
    """Names of topics: all that the code mentions, and those it certainly reads or writes."""

    mentioned: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    dead_letters: set[str] = field(default_factory=set)


def opened_by(service: str) -> Opened:
    """Returns the topics that a service opens, those inside the shared adapters it uses included."""
    files = {f for start in (SERVICES / service).rglob("*.py") for f in imported_files(start)} - {_DECLARATIONS}
    opened = Opened()
    for path in files:
        tree = tree_of(path)
        opened.mentioned |= set(_constants(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                _classify(node, opened)
            elif isinstance(node, ast.Attribute) and node.attr == "dlq_name":
                opened.dead_letters |= {f"{name}-dlq" for name in _constants(node.value)}
    return opened


def _classify(call: ast.Call, opened: Opened) -> None:
    """Sorts the topics of one call. A stage dead-letters what it reads, where the topic has a place for it."""
    match _called(call):
        case "Stage":
            keywords = {keyword.arg: keyword.value for keyword in call.keywords}
            source = set(_constants(keywords["source"])) if "source" in keywords else set()
            opened.read |= source
            opened.dead_letters |= {
                topic.dlq_name for topic in _BY_CONSTANT.values() if topic.name in source and topic.dlq
            }
            opened.written |= set(_constants(keywords["outputs"])) if "outputs" in keywords else set()
        case "Outbox":
            opened.written |= {name for argument in call.args for name in _constants(argument)}
        case "send" | "send_all" | "Output" if call.args:
            opened.written |= set(_constants(call.args[0]))
        case "CompactedReader":
            opened.read |= {name for argument in call.args for name in _constants(argument)}


def _called(call: ast.Call) -> str:
    function = call.func.value if isinstance(call.func, ast.Subscript) else call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _constants(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in _BY_CONSTANT:
            yield _BY_CONSTANT[part.id].name
