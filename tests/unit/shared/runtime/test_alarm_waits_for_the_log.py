"""On the wall clock a deadline waits until the records before it have been read."""

from shared.kernel.clock import ManualClock
from shared.runtime.alarm import Alarm


def alarm(now: int, due: int) -> Alarm:
    made = Alarm(ManualClock(now), grace_us=100)
    made.next_due = due
    return made


def test_the_wall_clock_alone_decides_when_nobody_reads_the_log_to_its_end() -> None:
    assert alarm(now=1_100, due=1_000).has_come
    assert not alarm(now=1_099, due=1_000).has_come


def test_a_deadline_waits_while_the_log_was_last_read_up_before_it() -> None:
    late = alarm(now=9_000, due=1_000)
    late.read_up_at = 1_099

    assert not late.has_come
    assert late.seconds_left()

    late.read_up_at = 1_100

    assert late.has_come


def test_records_beyond_a_deadline_let_it_fire_in_a_log_that_is_never_read_up() -> None:
    behind = alarm(now=9_000, due=1_000)
    behind.read_up_at = 0
    behind.log_time = 1_001

    assert behind.has_come
