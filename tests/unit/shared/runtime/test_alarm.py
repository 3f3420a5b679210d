"""When deadlines may fire: at the wall clock with a grace, on the stream clock strictly before the newest record."""

from shared.kernel.clock import ManualClock
from shared.runtime.alarm import Alarm


def test_a_new_alarm_looks_at_once_because_it_does_not_know_what_is_set() -> None:
    assert Alarm(ManualClock(1_000_000), 200).has_come


def test_on_the_wall_clock_a_deadline_fires_a_grace_late() -> None:
    clock = ManualClock(10_000_000)
    alarm = Alarm(clock, 200_000)
    alarm.next_due = None
    alarm.set([12_000_000, None, 10_500_000])

    left = alarm.seconds_left()
    clock.advance_to(10_699_999)
    early = alarm.has_come
    clock.advance_to(10_700_000)

    assert 0.7 == left
    assert not early
    assert alarm.has_come


def test_on_the_stream_clock_records_of_a_deadlines_own_instant_come_first() -> None:
    alarm = Alarm(None, 200_000)
    alarm.next_due = 1_000
    alarm.log_time = 1_000

    at_the_instant = alarm.has_come, alarm.seconds_left()
    alarm.log_time = 1_001

    assert (False, None) == at_the_instant
    assert alarm.has_come


def test_without_a_deadline_nothing_is_waited_for() -> None:
    alarm = Alarm(ManualClock(1), 0)
    alarm.next_due = None

    assert alarm.seconds_left() is None
    assert not alarm.has_come
