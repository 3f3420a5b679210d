"""Finds the source that a folder of data belongs to."""

from pathlib import Path

from shared.cli.sources.ga4 import Ga4Source
from shared.cli.sources.luma import FILE, LumaSource
from shared.cli.sources.source import Source, SourceError
from shared.cli.sources.synthetic import SyntheticSource


def choose_source(folder: Path | None, users: int, seed: int) -> Source:
    """Returns the source for `folder`, or the synthetic one when there is no folder.

    Raises SourceError saying what was looked for when the folder holds nothing that can be read.
    """
    if folder is None:
        return SyntheticSource(users, seed)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise SourceError(f"DATA={folder} should be a folder, found {found} there")
    if any(folder.glob("events_*.parquet*")):
        return Ga4Source(folder)
    if (folder / FILE).exists():
        return LumaSource(folder)
    raise SourceError(
        f"DATA={folder} holds neither events_*.parquet[.zst] (a GA4 export) nor {FILE} (the Luma shop); "
        "leave DATA out for synthetic events"
    )
