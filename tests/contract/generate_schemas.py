"""Writes the JSON Schema of each topic's value: `python -m tests.contract.generate_schemas`.

The files are committed and reviewed as diffs: a change of a contract is a change that somebody reads.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from shared import contracts
from shared.contracts.topics import TOPICS, Topic

FOLDER = Path(contracts.__file__).parent / "schemas"
VERSION = 1
"""Version of all values so far; a topic that gets a second one brings its own folder of examples."""


def path_of(topic: Topic) -> Path:
    return FOLDER / f"{topic.name}.v{VERSION}.json"


def schema_of(topic: Topic) -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of a topic's values."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{topic.name} v{VERSION}",
        "description": topic.doc,
    }
    return head | msgspec.json.schema(topic.value)


def text_of(topic: Topic) -> str:
    return json.dumps(schema_of(topic), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for topic in TOPICS:
        path_of(topic).write_text(text_of(topic), encoding="utf-8")


if __name__ == "__main__":
    main()
