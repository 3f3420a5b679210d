"""The Luma source against the real data set."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.cli.sources.luma import LumaSource
from shared.cli.sources.source import Datasets, SourceError, SourceEvent
from shared.kernel.clock import parse_instant
from tests.unit.shared.cli.sources.support import DATA, oracle

FOLDER = DATA / "luma"
needs_data = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the Luma data set is not at {FOLDER}")


@pytest.fixture(scope="module")
def events() -> list[SourceEvent]:
    return list(LumaSource(FOLDER).read(Datasets(events="e", profiles="p")))


def _md5(ids: set[str]) -> str:
    return hashlib.md5("\n".join(sorted(ids)).encode(), usedforsecurity=False).hexdigest()


def _entity(event: SourceEvent) -> dict[str, Any]:
    return event.message.body.xdm_entity


def _with(events: list[SourceEvent], event_type: str) -> list[SourceEvent]:
    return [event for event in events if _entity(event)["eventType"] == event_type]


@needs_data
@pytest.mark.data
def test_every_row_with_an_ecid_comes_once(events: list[SourceEvent]) -> None:
    rows, ids, ecids, without, *_ = oracle("LU.totals")["v"]

    assert rows - without == len(events)
    assert ids - without == len({_entity(event)["_id"] for event in events})
    assert ecids == len({event.identity.id for event in events})


@needs_data
@pytest.mark.data
def test_events_come_in_order_of_arrival_and_late_ones_stay_late(events: list[SourceEvent]) -> None:
    arrivals = [event.received_at for event in events]
    lags = [event.received_at - parse_instant(_entity(event)["timestamp"]) for event in events]

    minute = 60_000_000
    late: list[Callable[[int], bool]] = [
        lambda lag: lag > minute,
        lambda lag: lag > 60 * minute,
        lambda lag: lag > 24 * 60 * minute,
        lambda lag: lag < 0,
    ]
    assert sorted(arrivals) == arrivals
    assert oracle("LU.late")["v"] == [sum(map(is_late, lags)) for is_late in late]


@needs_data
@pytest.mark.data
def test_buyers_are_those_of_the_data(events: list[SourceEvent]) -> None:
    buyers = {event.identity.id for event in _with(events, "commerce.purchases")}

    assert (oracle("LU.L01_buyers")["count"], oracle("LU.L01_buyers")["md5"]) == (len(buyers), _md5(buyers))


@needs_data
@pytest.mark.data
def test_an_orders_total_is_the_sum_of_its_items(events: list[SourceEvent]) -> None:
    spent: dict[str, float] = {}
    for event in _with(events, "commerce.purchases"):
        total = _entity(event)["commerce"]["order"]["priceTotal"]
        spent[event.identity.id] = spent.get(event.identity.id, 0.0) + total

    big = {ecid for ecid, total in spent.items() if round(total, 2) >= 100}

    assert oracle("LU.revenue")["v"][0] == round(sum(spent.values()), 2)
    assert (oracle("LU.L04_spend_ge_100")["count"], oracle("LU.L04_spend_ge_100")["md5"]) == (len(big), _md5(big))


@needs_data
@pytest.mark.data
def test_nothing_null_is_sent(events: list[SourceEvent]) -> None:
    def has_null(value: Any) -> bool:
        if isinstance(value, dict):
            return any(map(has_null, value.values()))
        return value is None or (isinstance(value, list) and any(map(has_null, value)))

    assert not any(has_null(_entity(event)) for event in events)


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no luma_web\.parquet"):
        list(LumaSource(tmp_path).read(Datasets(events="e", profiles="p")))


@needs_data
@pytest.mark.data
def test_the_count_before_an_instant_is_the_number_of_rows_that_arrived_before_it(events: list[SourceEvent]) -> None:
    middle = events[len(events) // 2].received_at

    counted = LumaSource(FOLDER).count(until=middle)

    assert sum(event.received_at < middle for event in events) == counted
