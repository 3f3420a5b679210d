"""Options: what is refused, and in which words."""

from pathlib import Path

import pytest

from deploy.demo.errors import UsageError
from deploy.demo.options import USERS_DEFAULT, Options, parse
from shared.kernel.clock import parse_instant


def test_without_options_synthetic_events_are_sent_and_everything_is_kept() -> None:
    assert Options(users=USERS_DEFAULT, keep=True) == parse([])


def test_options_are_read(tmp_path: Path) -> None:
    summary = tmp_path / "s.json"

    given = {
        "data": "d",
        "segments": "s",
        "summary": str(summary),
        "keep": "0",
        "until": "2020-12-29T12:00:00Z",
        "limit": "7",
        "users": "9",
        "seed": "3",
    }

    options = parse([word for name, value in given.items() for word in (f"--{name}", value)])

    until = parse_instant("2020-12-29T12:00:00Z")
    assert Options(Path("d"), Path("s"), summary, False, until, 7, 9, 3) == options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--until", "yesterday"], "UNTIL=yesterday is not an instant like"),
        (["--limit", "0"], "LIMIT=0 should be a whole number from 1"),
        (["--limit", "many"], "LIMIT=many should be"),
        (["--users", "-3"], "USERS=-3 should be"),
        (["--seed", "x"], "SEED=x should be"),
        (["--keep", "perhaps"], "KEEP=perhaps should be 1"),
        (["--summary", "/nowhere/at/all.json"], "cannot be written"),
    ],
)
def test_an_impossible_option_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(arguments)
