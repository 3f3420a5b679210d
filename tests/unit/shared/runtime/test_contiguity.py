"""Offsets of a fenced log: repeats are dropped, holes are fatal, wherever in a batch they are."""

from types import SimpleNamespace
from typing import Any

import pytest

from shared.kernel.errors import ExitCode, Fatal
from shared.runtime.contiguity import continued


def records(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


def offsets(found: Any) -> list[int]:
    return [record.offset for record in found]


def test_what_follows_is_taken_as_it_is() -> None:
    raw = records(5, 6, 7)

    assert continued(raw, 4, "events 0") is raw


@pytest.mark.parametrize("raw", [(3, 4, 5, 6), (5, 6, 5, 6), (5, 5, 6), (4, 5, 4, 6)])
def test_repeats_are_dropped_anywhere_in_a_batch(raw: tuple[int, ...]) -> None:
    assert [5, 6] == offsets(continued(records(*raw), 4, "events 0"))


@pytest.mark.parametrize("raw", [(6,), (5, 7), (5, 5, 7), (4, 6)])
def test_a_hole_is_fatal_anywhere_in_a_batch(raw: tuple[int, ...]) -> None:
    with pytest.raises(Fatal, match="expected offset") as caught:
        continued(records(*raw), 4, "events 0")

    assert ExitCode.GAP == caught.value.exit_code
