"""How far ahead the sender may run, and when the pipeline is at rest."""

from deploy.demo.pace import LEAD_MAX, LEAD_MIN, Pace, Rate
from deploy.demo.pipeline import NOTHING, READERS, Look, Quiet


def _look(at_s: float, written: int, decided: int, ingested: int | None = None) -> Look:
    ends = dict(NOTHING.ends) | {"inbound": written, "events": ingested if ingested is not None else written}
    done = dict(NOTHING.done) | {"ingestion": ends["events"], "segmentation": decided}
    return Look(at_s, ends, done)


def test_a_rate_is_taken_over_the_window() -> None:
    rate = Rate(window_s=2)
    for at_s, count in ((0, 0), (1, 500), (2, 1_000), (3, 3_000), (4, 5_000)):
        rate.note(at_s, count)

    assert 2_000 == rate.per_second


def test_one_point_is_no_rate() -> None:
    rate = Rate()
    rate.note(1, 100)

    assert 0 == rate.per_second


def test_the_sender_may_run_ahead_by_the_least_lead_at_first() -> None:
    pace = Pace()

    assert LEAD_MIN == pace.room


def test_what_is_sent_takes_room_until_it_is_decided() -> None:
    pace = Pace()
    pace.note(_look(1, written=0, decided=0))

    pace.sent(LEAD_MIN)
    full = pace.room
    pace.note(_look(2, written=LEAD_MIN, decided=100))

    assert (0, 100) == (full, pace.room)


def test_records_not_yet_ingested_take_room_too() -> None:
    pace = Pace()

    pace.note(_look(1, written=3_000, decided=1_000, ingested=2_000))

    assert LEAD_MIN - 2_000 == pace.room


def test_the_lead_grows_with_the_rate_up_to_its_limit() -> None:
    pace = Pace()
    pace.note(_look(0, written=0, decided=0))
    pace.note(_look(1, written=8_000, decided=8_000))
    grown = pace.lead
    pace.note(_look(2, written=900_000, decided=900_000))

    assert (24_000, LEAD_MAX) == (grown, pace.lead)


def test_the_pipeline_is_at_rest_after_nothing_was_left_for_a_while() -> None:
    quiet = Quiet(frozenset(READERS), stable_s=2)
    rest = _look(0, written=5, decided=5)

    noted = [quiet.note(Look(at_s, rest.ends, rest.done)) for at_s in (0, 1, 2)]

    assert [False, False, True] == noted


def test_a_new_record_begins_the_while_anew() -> None:
    quiet = Quiet(frozenset(READERS), stable_s=2)

    noted = [quiet.note(look) for look in (_look(0, 5, 5), _look(1, 6, 5), _look(2, 6, 6), _look(3, 6, 6))]

    assert not any(noted)
    assert quiet.note(_look(4, 6, 6))


def test_a_stage_that_is_not_waited_for_may_lag() -> None:
    quiet = Quiet(frozenset({"ingestion", "segmentation"}), stable_s=0)
    look = Look(1.0, dict(NOTHING.ends) | {"feature-vectors": 9}, NOTHING.done)

    assert quiet.note(look)
