"""A definition is ready when every partition's profiles live under it."""

from services.segmentation.domain.readiness import Readiness, Taken
from services.segmentation.domain.replay import HASHES
from services.segmentation.domain.status import Status

S = 1_000_000


def ready(version: int = 1, **history_from: int) -> Taken:
    return Taken(Status("new", rows_all=100, history_from=history_from), {"a": version}, {})


def coming(low: int = 0, rows: int = 0) -> Taken:
    status = Status("old", "new", "replay", low=low, rows=rows, rows_all=100, profiles=7, started_at=10 * S)
    return Taken(status, {}, {"a": 1})


def test_it_is_ready_when_all_partitions_run_the_version() -> None:
    answer = Readiness([ready(), ready()], 0).of("a", 1)

    assert ("ready", 1, 2, None) == (answer.state, answer.running_version, answer.partitions_ready, answer.progress)


def test_progress_tells_share_rate_and_time_left() -> None:
    answer = Readiness([ready(), coming(rows=50)], 30 * S).of("a", 1)

    assert ("backfilling", None, 1) == (answer.state, answer.running_version, answer.partitions_ready)
    progress = answer.progress
    assert progress is not None
    assert (0.75, 7, 150, 200) == (progress.share, progress.profiles, progress.rows, progress.rows_all)
    assert (7.5, 20 / 3) == (progress.rows_per_s, progress.eta_s)


def test_slices_that_have_come_over_count_as_done() -> None:
    answer = Readiness([coming(low=HASHES // 2, rows=50)], 30 * S).of("a", 1)

    assert answer.progress is not None
    assert 0.75 == answer.progress.share


def test_a_newer_version_that_no_partition_has_taken_up_is_starting() -> None:
    answer = Readiness([ready(1), ready(1)], 0).of("a", 2)

    assert ("starting", 1, 0) == (answer.state, answer.running_version, answer.partitions_ready)


def test_a_partition_that_no_worker_has_claimed_keeps_a_definition_from_being_ready() -> None:
    answer = Readiness([ready(), None], 0).of("a", 1)

    assert ("backfilling", None) == (answer.state, answer.running_version)


def test_without_redis_readiness_is_unknown() -> None:
    answer = Readiness([], 0).of("a", 1)

    assert ("unknown", None, 0) == (answer.state, answer.running_version, answer.partitions)


def test_history_is_said_to_begin_where_the_last_partition_lost_it() -> None:
    answer = Readiness([ready(a=5), ready(a=9), ready()], 0).of("a", 1)

    assert 9 == answer.history_from
