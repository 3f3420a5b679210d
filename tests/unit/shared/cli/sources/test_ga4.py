"""The GA4 source against the real export, and against small made files."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.cli.sources.ga4 import EVENT_TYPES, Ga4Source
from shared.cli.sources.source import Datasets, SourceError, SourceEvent
from shared.kernel.clock import HOUR, Micros, format_instant
from tests.unit.shared.cli.sources.support import DATA, oracle

DATASETS = Datasets(events="e", profiles="p")
FOLDER = DATA / "ga4_merch_store"
needs_data = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the GA4 export is not at {FOLDER}")


def _row(at: int, user: str = "1.2", name: str = "page_view", **more: Any) -> dict[str, Any]:
    parameter = {"key": "ga_session_id", "value": {"string_value": None, "int_value": 77}}
    place = {"key": "page_location", "value": {"string_value": "https://a.example/", "int_value": None}}
    title = {"key": "page_title", "value": {"string_value": "A", "int_value": None}}
    return {
        "event_timestamp": at,
        "event_name": name,
        "user_pseudo_id": user,
        "event_params": [parameter, place, title],
        "device": {"category": "mobile"},
        "geo": {"country": "Chile"},
        "ecommerce": {"purchase_revenue_in_usd": None, "transaction_id": "(not set)"},
        "items": [],
    } | more


def _item(quantity: int | None, price: float | None = 3.5) -> dict[str, Any]:
    return {
        "item_id": "S1",
        "item_name": "Cap",
        "quantity": quantity,
        "price_in_usd": None,
        "price": price,
        "item_revenue_in_usd": None,
    }


def _schema() -> pa.Schema:
    value = pa.struct([("string_value", pa.string()), ("int_value", pa.int64())])
    numbers = [(name, pa.float64()) for name in ("price_in_usd", "price", "item_revenue_in_usd")]
    item = pa.struct([("item_id", pa.string()), ("item_name", pa.string()), ("quantity", pa.int64()), *numbers])
    return pa.schema(
        [
            ("event_timestamp", pa.int64()),
            ("event_name", pa.string()),
            ("user_pseudo_id", pa.string()),
            ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", value)]))),
            ("device", pa.struct([("category", pa.string())])),
            ("geo", pa.struct([("country", pa.string())])),
            ("ecommerce", pa.struct([("purchase_revenue_in_usd", pa.float64()), ("transaction_id", pa.string())])),
            ("items", pa.list_(item)),
        ]
    )


def _read(folder: Path, **days: list[dict[str, Any]]) -> list[SourceEvent]:
    for day, rows in days.items():
        pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), folder / f"events_{day[1:]}.parquet")
    return list(Ga4Source(folder).read(DATASETS))


def test_a_row_becomes_an_xdm_event(tmp_path: Path) -> None:
    (event,) = _read(tmp_path, d1=[_row(1_500_000)])

    entity = dict(event.message.body.xdm_entity)
    assert len(entity.pop("_id")) == 32
    assert entity == {
        "timestamp": "1970-01-01T00:00:01.500000Z",
        "eventType": "web.webpagedetails.pageViews",
        "identityMap": {"GA4": [{"id": "1.2", "primary": True}]},
        "_ga4": {"eventName": "page_view", "sessionId": "77"},
        "web": {"webPageDetails": {"URL": "https://a.example/", "name": "A"}},
        "device": {"type": "mobile"},
        "placeContext": {"geo": {"country": "Chile"}},
    }
    assert event.received_at == 1_500_000


def test_a_day_is_sorted_by_time(tmp_path: Path) -> None:
    events = _read(tmp_path, d1=[_row(30), _row(10), _row(20, user="0.1")], d2=[_row(40)])

    assert [event.received_at for event in events] == [10, 20, 30, 40]


def test_a_purchase_carries_revenue_and_transaction_when_there_are_any(tmp_path: Path) -> None:
    paid = {"purchase_revenue_in_usd": 12.5, "transaction_id": "T9"}

    events = _read(tmp_path, d1=[_row(1, name="purchase", ecommerce=paid), _row(2, name="purchase")])

    orders = [event.message.body.xdm_entity["commerce"]["order"] for event in events]
    assert orders == [{"currencyCode": "USD", "priceTotal": 12.5, "purchaseID": "T9"}, {"currencyCode": "USD"}]


def test_only_items_acted_on_are_kept(tmp_path: Path) -> None:
    (event,) = _read(tmp_path, d1=[_row(1, name="add_to_cart", items=[_item(None), _item(2), _item(None)])])

    items = event.message.body.xdm_entity["productListItems"]
    assert items == [{"SKU": "S1", "name": "Cap", "quantity": 2, "priceTotal": 7.0}]


def test_an_unknown_event_name_keeps_its_name(tmp_path: Path) -> None:
    (event,) = _read(tmp_path, d1=[_row(1, name="scroll")])

    assert event.message.body.xdm_entity["eventType"] == "ga4.scroll"


def test_files_that_overlap_in_time_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"events_2\.parquet begins at .* before the previous file ended"):
        _read(tmp_path, d1=[_row(HOUR)], d2=[_row(5)])


def test_a_file_that_is_not_parquet_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "events_20200101.parquet.zst").write_bytes(b"nothing of the kind")

    with pytest.raises(SourceError, match=r"events_20200101\.parquet\.zst cannot be read as GA4 Parquet"):
        list(Ga4Source(tmp_path).read(DATASETS))


def test_parquet_of_something_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "events_1.parquet")

    with pytest.raises(SourceError, match="lacks a column of a GA4 export"):
        list(Ga4Source(tmp_path).read(DATASETS))


def test_a_folder_without_day_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no events_\*\.parquet"):
        list(Ga4Source(tmp_path).read(DATASETS))


class _Totals:
    """One pass over the whole export, with the answers of several questions."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.users: dict[str, list[Any]] = {}
        self.ids: set[str] = set()
        self.times: list[int] = []
        for event in Ga4Source(FOLDER).read(DATASETS):
            entity = event.message.body.xdm_entity
            self.events[entity["eventType"]] += 1
            self.names[entity["_ga4"]["eventName"]] += 1
            self.ids.add(entity["_id"])
            self.times.append(event.received_at)
            row = self.users.setdefault(event.identity.id, [0, event.received_at, 0, 0, 0, 0, 0.0])
            row[0] += 1
            row[2] = event.received_at
            for column, event_type in enumerate(("productViews", "productListAdds", "purchases"), start=3):
                row[column] += entity["eventType"] == f"commerce.{event_type}"
            row[6] += entity.get("commerce", {}).get("order", {}).get("priceTotal", 0.0)


@pytest.fixture(scope="module")
def totals() -> _Totals:
    return _Totals()


@needs_data
@pytest.mark.data
def test_every_event_of_the_export_comes_once_and_in_order_of_time(totals: _Totals) -> None:
    expected = oracle("GA4DEV.totals")

    assert expected["rows"] == len(totals.times) == len(totals.ids)
    assert (expected["first_us"], expected["last_us"]) == (totals.times[0], totals.times[-1])
    assert sorted(totals.times) == totals.times


@needs_data
@pytest.mark.data
def test_event_names_and_types_count_as_in_the_export(totals: _Totals) -> None:
    expected = oracle("GA4DEV.by_event")["counts"]

    assert expected == dict(totals.names)
    assert {EVENT_TYPES.get(name, f"ga4.{name}"): count for name, count in expected.items()} == dict(totals.events)


@needs_data
@pytest.mark.data
def test_each_users_events_and_revenue_are_those_of_the_export(totals: _Totals) -> None:
    expected = oracle("GA4DEV.G16_profiles")

    lines = [
        ",".join((user, *map(str, row[:6]), str(round(row[6]))))
        for user, row in sorted(totals.users.items(), key=lambda pair: pair[0].encode())
    ]

    assert expected["rows"] == len(lines)
    assert expected["head"] == lines[:3]
    digest = hashlib.md5("\n".join(lines).encode(), usedforsecurity=False).hexdigest()
    assert expected["md5"] == digest, f"differs; first event at {format_instant(totals.times[0])}"


@needs_data
@pytest.mark.data
def test_the_count_before_an_instant_is_the_number_of_events_before_it(totals: _Totals) -> None:
    middle = totals.times[len(totals.times) // 2]

    counted = Ga4Source(FOLDER).count(until=Micros(middle))

    assert sum(at < middle for at in totals.times) == counted
    assert len(totals.times) == Ga4Source(FOLDER).count()
