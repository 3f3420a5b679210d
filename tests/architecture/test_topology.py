"""The declared topics are those that services open, and the generated file says the same."""

import pytest
import yaml

from deploy.kafka import generate
from shared.contracts.topics import KEYED_PARTITIONS, TOPICS, Cleanup, physical_topics
from tests.architecture.repository import services
from tests.architecture.topology import opened_by

_OUTSIDE = {"clients"}


@pytest.mark.parametrize("service", services())
def test_a_service_opens_the_topics_that_name_it_and_no_others(service: str) -> None:
    declared = {t.name for t in TOPICS if service in (*t.producers, *t.consumers)}

    assert opened_by(service).mentioned == declared


@pytest.mark.parametrize("service", services())
def test_a_service_reads_and_writes_as_declared(service: str) -> None:
    produced = {topic.name for topic in TOPICS if service in topic.producers}
    consumed = {topic.name for topic in TOPICS if service in topic.consumers}

    opened = opened_by(service)

    assert opened.read - consumed == set()
    assert opened.written == produced
    assert opened.mentioned - opened.written <= consumed


def test_every_producer_and_consumer_is_a_service_or_outside() -> None:
    named = {name for topic in TOPICS for name in (*topic.producers, *topic.consumers)}

    assert named - _OUTSIDE == set(services())


def test_every_topic_has_somebody_on_both_ends() -> None:
    assert [topic.name for topic in TOPICS if not topic.producers or not topic.consumers] == []


def test_names_follow_the_convention_and_keyed_topics_have_equal_partitions() -> None:
    assert [name for name in physical_topics() if not name.replace("-", "").isalpha() or name != name.lower()] == []
    assert {topic.partitions for topic in TOPICS} == {1, KEYED_PARTITIONS}
    assert [topic.name for topic in TOPICS if topic.cleanup is Cleanup.COMPACT and topic.partitions != 1] == []


def test_the_topics_file_is_what_the_code_declares() -> None:
    assert generate.FILE.read_text(encoding="utf-8") == generate.render(), "run: python -m deploy.kafka.generate"


def test_the_topics_file_is_yaml_that_says_everything() -> None:
    listed = {topic["name"]: topic for topic in yaml.safe_load(generate.render())["topics"]}

    assert set(listed) == set(physical_topics())
    for name, topic in physical_topics().items():
        assert listed[name]["partitions"] == topic.partitions
        assert listed[name]["config"] == topic.config
