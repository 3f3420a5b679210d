"""Percentiles from buckets."""

from random import Random

import pytest

from deploy.demo.latency import Latency


def _latency(values: list[float]) -> Latency:
    latency = Latency()
    for value in values:
        latency.add(value)
    return latency


def test_there_is_no_percentile_of_nothing() -> None:
    assert {"p50": None, "p95": None, "p99": None} == Latency().summary()


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99, 1.0])
def test_a_percentile_is_right_to_two_percent(share: float) -> None:
    random = Random(1)
    values = sorted(random.lognormvariate(4, 1.5) for _ in range(5_000))
    exact = values[round(share * len(values)) - 1]

    found = _latency(values).percentile(share)

    assert found == pytest.approx(exact, rel=0.02)


def test_what_is_below_a_millisecond_counts_as_one() -> None:
    assert 1.0 == _latency([0.0, 0.3]).percentile(0.5)
