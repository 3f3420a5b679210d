"""Blocks of text in one file: `### title`, then lines up to the next title."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def blocks(name: str) -> dict[str, str]:
    """Read a file of blocks."""
    found: dict[str, str] = {}
    for part in (FOLDER / name).read_text().split("### ")[1:]:
        title, _, text = part.partition("\n")
        found[title.strip()] = text.strip("\n")
    return found


def agree(name: str, made: dict[str, str], request: pytest.FixtureRequest) -> None:
    """Compare with a golden file, or with `--update-golden` write it."""
    if request.config.getoption("--update-golden", default=False):
        (FOLDER / name).write_text("\n".join(f"### {title}\n{text}\n" for title, text in made.items()))
    assert blocks(name) == {title: text.strip("\n") for title, text in made.items()}
