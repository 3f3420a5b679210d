"""The map of services says what is there."""

import re

import pytest

from shared.contracts.topics import TOPICS, physical_topics
from tests.architecture.repository import ROOT, services, settings_of
from tests.architecture.topology import opened_by

README = (ROOT / "services" / "README.md").read_text(encoding="utf-8")
_COLUMNS = ("service", "reads", "owns", "writes", "serves", "on failure")


def _rows() -> dict[str, dict[str, str]]:
    first_table = README[README.index("\n| ") + 1 :].partition("\n\n")[0]
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in first_table.splitlines())
    assert tuple(header) == _COLUMNS
    found = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    return {re.sub(r"\[?`(\w+)`.*", r"\1", row["service"]): row for row in found}


def _topics(cell: str) -> set[str]:
    return set(re.findall(r"`([\w-]+)`", cell)) & set(physical_topics())


def test_every_service_has_a_row_and_every_row_a_service() -> None:
    assert set(_rows()) == set(services())


@pytest.mark.parametrize("service", services())
def test_a_row_names_the_topics_that_are_read_and_written(service: str) -> None:
    row = _rows()[service]
    read = {topic.name for topic in TOPICS if service in topic.consumers}
    written = {topic.name for topic in TOPICS if service in topic.producers}

    assert _topics(row["reads"]) == read
    assert {name for name in _topics(row["writes"]) if not name.endswith("-dlq")} == written
    assert opened_by(service).dead_letters <= _topics(row["writes"])


@pytest.mark.parametrize("service", services())
def test_a_row_says_something_in_every_column(service: str) -> None:
    assert [column for column, cell in _rows()[service].items() if len(cell) < 2] == []


@pytest.mark.parametrize("service", services())
def test_a_row_names_the_port(service: str) -> None:
    assert f":{settings_of(service).model_fields['http_port'].default}" in _rows()[service]["serves"]


def test_links_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    local = [target for target in targets if "://" not in target]

    assert [target for target in local if not (ROOT / "services" / target).exists()] == []
