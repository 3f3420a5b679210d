"""What is due when some of what was decided has not been written yet."""

from shared.kernel.clock import Micros
from shared.runtime.fence import overlaid
from shared.runtime.stage import Due


def _due(key: str, at: int) -> Due:
    return Due(key, Micros(at))


def test_what_was_decided_since_takes_the_place_of_what_is_written() -> None:
    written = [_due("moved", 10), _due("cleared", 20), _due("kept", 30)]
    decided = {"moved": 40, "cleared": None, "new": 5}

    found = overlaid(written, None, decided)

    assert [_due("new", 5), _due("kept", 30), _due("moved", 40)] == found


def test_deadlines_of_one_instant_come_in_the_order_of_their_keys_as_in_redis() -> None:
    found = overlaid([_due("b", 10), _due("d", 10)], None, {"c": 10, "a": 10})

    assert ["a", "b", "c", "d"] == [entry.key for entry in found]


def test_what_lies_beyond_the_last_row_that_was_read_is_left_for_the_next_look() -> None:
    """Rows that were not read may come before it."""
    last = _due("m", 20)

    found = overlaid([_due("a", 10), last], last, {"later": 21, "z": 20, "b": 20})

    assert [_due("a", 10), _due("b", 20), last] == found


def test_nothing_is_left_when_all_that_was_read_has_been_cleared_since() -> None:
    last = _due("b", 20)

    assert [] == overlaid([_due("a", 10), last], last, {"a": None, "b": None})
