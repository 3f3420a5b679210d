"""How long records gather: longer when they come slowly, not at all when there are many or none."""

import pytest

from shared.runtime.pace import Pace


def _settled(rate: int) -> float:
    """The wait after two seconds of records at a steady rate, each poll as late as it was told."""
    pace, now, wait_s = Pace(), 0.0, 0.0
    while now < 2.0:
        passed = wait_s + 0.002
        now += passed
        wait_s = pace.seconds(round(rate * passed), now)
    return wait_s


@pytest.mark.parametrize(("rate", "wait_s"), [(500, 0.025), (2_000, 0.025), (10_000, 0.006), (15_000, 0.004)])
def test_about_sixty_records_gather_but_none_waits_longer_than_25_ms(rate: int, wait_s: float) -> None:
    assert wait_s == pytest.approx(_settled(rate), rel=0.15)


def test_a_feed_that_is_behind_does_not_wait() -> None:
    assert 0.0 == Pace().seconds(2_000, 1.0)


def test_a_poll_that_found_nothing_waits_for_nothing_more() -> None:
    pace = Pace()
    pace.seconds(50, 1.0)

    assert 0.0 == pace.seconds(0, 1.1)
