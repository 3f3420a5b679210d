"""Definitions: what is shipped compiles, and a mistake is told with its file."""

from pathlib import Path

import pytest

from deploy.demo.definitions import load_recipe, load_segments, shipped_segments, union_schema
from deploy.demo.errors import UsageError
from shared import pql

SOURCES = ("synthetic", "ga4", "luma")


@pytest.mark.parametrize("source", SOURCES)
def test_shipped_segments_compile_against_the_sources_schemas(source: str) -> None:
    segments = load_segments(shipped_segments(source), union_schema(source))

    assert len(segments) >= 6
    assert all(segment.description for segment in segments)


@pytest.mark.parametrize("source", SOURCES)
def test_shipped_features_compile_against_the_sources_schemas(source: str) -> None:
    recipe = load_recipe(source, "commerce.purchases")

    schema = union_schema(source)
    assert all(pql.compile_feature(text, schema) for text in recipe.features.values())


def test_a_segment_comes_after_those_it_refers_to(tmp_path: Path) -> None:
    (tmp_path / "a.pql").write_text('inSegment("b")')
    (tmp_path / "b.pql").write_text('xEvent[eventType = "x"].count() > 0')

    names = [segment.name for segment in load_segments(tmp_path, union_schema("ga4"))]

    assert ["b", "a"] == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("xEvent[eventType = ].count() > 0", r"bad\.pql: syntax error at line 1, column"),
        ("xEvent.sum(commerce.order.pricetotal) > 3", r"bad\.pql: check error.*"),
        ('inSegment("bad")', "cycle"),
    ],
)
def test_a_mistake_is_told_in_the_languages_words(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.pql").write_text(text)

    with pytest.raises(UsageError, match=words):
        load_segments(tmp_path, union_schema("ga4"))


def test_a_folder_without_segments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no \.pql files"):
        load_segments(tmp_path, union_schema("ga4"))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        load_segments(tmp_path / "none", union_schema("ga4"))


def test_a_file_name_that_cannot_be_an_id_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big spenders.pql").write_text("xEvent.count() > 0")

    with pytest.raises(UsageError, match=r"big spenders\.pql: the name of a segment"):
        load_segments(tmp_path, union_schema("ga4"))
