"""Every topic's examples decode, encode again, and match the schema that is committed for readers elsewhere."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from shared.contracts.topics import TOPICS, Topic
from shared.kernel.errors import Rejected
from tests.contract.generate_schemas import FOLDER, path_of, text_of

EXAMPLES = Path(__file__).parent / "examples"
BY_NAME = {topic.name: topic for topic in TOPICS}
CASES = sorted(EXAMPLES.glob("*/*/*.json"))


def name_of(value: Path | Topic) -> str:
    return value.name if isinstance(value, Topic) else str(value.relative_to(EXAMPLES).with_suffix(""))


def validator_of(topic: Topic) -> Any:
    return jsonschema_rs.Draft202012Validator(json.loads(path_of(topic).read_text()), offline=True)


def topic_of(case: Path) -> Topic:
    return BY_NAME[case.parts[-3]]


@pytest.mark.parametrize("topic", TOPICS, ids=name_of)
def test_every_topic_has_examples(topic: Topic) -> None:
    assert list(EXAMPLES.glob(f"{topic.name}/v1/*.json"))


@pytest.mark.parametrize("topic", TOPICS, ids=name_of)
def test_the_committed_schema_is_the_generated_one(topic: Topic) -> None:
    assert text_of(topic) == path_of(topic).read_text(), "run: python -m tests.contract.generate_schemas"


def test_there_is_no_schema_without_a_topic() -> None:
    assert {path_of(topic) for topic in TOPICS} == set(FOLDER.iterdir())


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_an_example_decodes_and_encodes_to_itself(case: Path) -> None:
    topic = topic_of(case)

    value = topic.codec.decode(case.read_bytes())

    assert json.loads(case.read_bytes()) == json.loads(topic.codec.encode(value))


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_an_example_matches_the_committed_schema(case: Path) -> None:
    validator = validator_of(topic_of(case))

    assert [] == [error.message for error in validator.iter_errors(json.loads(case.read_bytes()))]


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_field_added_later_disturbs_no_reader_of_today(case: Path) -> None:
    topic = topic_of(case)
    later = json.loads(case.read_bytes()) | {"added_later": {"x": 1}}

    assert topic.codec.decode(case.read_bytes()) == topic.codec.decode(json.dumps(later).encode())
    assert validator_of(topic).is_valid(later)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_value_without_a_required_field_is_refused_by_codec_and_schema_alike(case: Path) -> None:
    topic = topic_of(case)
    validator = validator_of(topic)
    whole = json.loads(case.read_bytes())

    for name in whole:
        part = {key: value for key, value in whole.items() if key != name}
        try:
            topic.codec.decode(json.dumps(part).encode())
            decodes = True
        except Rejected:
            decodes = False
        assert decodes == validator.is_valid(part), name
