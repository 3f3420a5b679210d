"""Which source a folder belongs to."""

from pathlib import Path

import pytest

from shared.cli.sources.choose import choose_source
from shared.cli.sources.source import SourceError
from shared.cli.sources.synthetic import SyntheticSource


def test_no_folder_means_synthetic_events() -> None:
    assert choose_source(None, users=3, seed=4) == SyntheticSource(users=3, seed=4)


@pytest.mark.parametrize(("file", "name"), [("events_20200101.parquet.zst", "ga4"), ("luma_web.parquet", "luma")])
def test_files_tell_the_source(file: str, name: str, tmp_path: Path) -> None:
    (tmp_path / file).touch()

    assert name == choose_source(tmp_path, users=1, seed=0).name


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere should be a folder, found nothing"):
        choose_source(tmp_path / "nowhere", users=1, seed=0)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="neither events_"):
        choose_source(tmp_path, users=1, seed=0)
