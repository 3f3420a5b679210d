"""The Google Analytics 4 export: daily Parquet files, mapped to XDM ExperienceEvents and sorted by event time.

Each day file is grouped by user, so a day is sorted in memory; days follow each other, and a file that begins before
the previous one ended is refused, because the order of the whole would be wrong. See README.md for the mapping.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.cli.sources.source import Datasets, SourceError, SourceEvent, event_of
from shared.contracts.facts import Identity
from shared.kernel.clock import Micros, format_instant
from shared.kernel.ids import digest_id

NAMESPACE = "GA4"

EVENT_TYPES = {
    "page_view": "web.webpagedetails.pageViews",
    "view_item": "commerce.productViews",
    "add_to_cart": "commerce.productListAdds",
    "begin_checkout": "commerce.checkouts",
    "purchase": "commerce.purchases",
    "select_item": "web.webinteraction.linkClicks",
}
"""GA4 event names with an XDM `eventType` of their own; any other name becomes `ga4.<name>`."""

_COLUMNS = (
    "event_timestamp",
    "event_name",
    "user_pseudo_id",
    "event_params",
    "device.category",
    "geo.country",
    "ecommerce.purchase_revenue_in_usd",
    "ecommerce.transaction_id",
    "items",
)
_UNUSABLE = frozenset(("", "(not set)", "<Other>", "(data deleted)"))
"""What GA4 writes where it knows nothing; such values are left out."""


@dataclass(frozen=True)
class Ga4Source:
    """Reads `events_*.parquet` or `events_*.parquet.zst` of `folder`, one file a day, by file name."""

    folder: Path
    name: str = "ga4"
    conversion: str = "commerce.purchases"

    @cached_property
    def files(self) -> tuple[Path, ...]:
        found = sorted(path for path in self.folder.glob("events_*.parquet*") if path.suffix in (".parquet", ".zst"))
        if not found:
            raise SourceError(f"{self.folder} holds no events_*.parquet[.zst] files of a GA4 export")
        return tuple(found)

    def count(self, until: Micros | None = None) -> int:
        times = (_table(path, ("event_timestamp",))["event_timestamp"] for path in self.files)
        return sum(len(some) if until is None else pc.sum(pc.less(some, until)).as_py() or 0 for some in times)

    def read(self, datasets: Datasets) -> Iterator[SourceEvent]:
        last = -(2**63)
        for path in self.files:
            day = _Day(_table(path))
            if day.rows and day.first_us < last:
                raise SourceError(
                    f"{path.name} begins at {format_instant(day.first_us)}, before the previous file ended at "
                    f"{format_instant(last)}: files must follow each other in time"
                )
            last = max(last, day.last_us)
            yield from day.events(datasets.events)


def _table(path: Path, columns: Sequence[str] = _COLUMNS) -> pa.Table:
    try:
        # ParquetFile keeps `device.category` below `device`; read_table would lift it to the top.
        if path.suffix == ".zst":
            with pa.input_stream(str(path), compression="zstd") as stream:
                return pq.ParquetFile(pa.BufferReader(stream.read())).read(columns=list(columns))
        return pq.ParquetFile(path).read(columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path} cannot be read as GA4 Parquet: {error}") from error


class _Day:
    """One day's rows as plain columns: nested columns are unpacked by Arrow, many times faster than by row."""

    def __init__(self, table: pa.Table) -> None:
        try:
            order = [("event_timestamp", "ascending"), ("user_pseudo_id", "ascending"), ("event_name", "ascending")]
            table = table.take(pc.sort_indices(table, sort_keys=order)).combine_chunks()
            self.rows = int(table.num_rows)
            self._times: list[int] = table["event_timestamp"].to_pylist()
            self._names: list[str] = table["event_name"].to_pylist()
            self._users: list[str] = table["user_pseudo_id"].to_pylist()
            self._devices = _field(table, "device", "category")
            self._countries = _field(table, "geo", "country")
            self._revenues = _field(table, "ecommerce", "purchase_revenue_in_usd")
            self._transactions = _field(table, "ecommerce", "transaction_id")
            self._params = _parameters(table)
            self._items = _acted_on(table)
        except (KeyError, pa.ArrowException) as error:
            raise SourceError(f"the table lacks a column of a GA4 export: {error}") from error
        self.first_us = self._times[0] if self.rows else 0
        self.last_us = self._times[-1] if self.rows else 0

    def events(self, dataset: str) -> Iterator[SourceEvent]:
        sessions, locations, titles, engagement = self._params
        for row in range(self.rows):
            name, user, at = self._names[row], self._users[row], self._times[row]
            facts: dict[str, Any] = {"eventName": name}
            if row in sessions:
                facts["sessionId"] = str(sessions[row])
            if row in engagement:
                facts["engagementTimeMs"] = engagement[row]
            entity: dict[str, Any] = {
                "_id": digest_id(user, str(at), name),
                "timestamp": format_instant(at),
                "eventType": EVENT_TYPES.get(name) or f"ga4.{name}",
                "identityMap": {NAMESPACE: [{"id": user, "primary": True}]},
                "_ga4": facts,
            }
            if row in locations:
                entity["web"] = {"webPageDetails": _page(locations[row], titles.get(row))}
            if _usable(self._devices[row]):
                entity["device"] = {"type": self._devices[row]}
            if _usable(self._countries[row]):
                entity["placeContext"] = {"geo": {"country": self._countries[row]}}
            if name == "purchase":
                entity["commerce"] = {"order": self._order(row), "purchases": {"value": 1}}
            if row in self._items:
                entity["productListItems"] = self._items[row]
            yield event_of(dataset, entity, Micros(at), Identity(NAMESPACE, user, True))

    def _order(self, row: int) -> dict[str, Any]:
        order: dict[str, Any] = {"currencyCode": "USD"}
        if self._revenues[row] is not None:
            order["priceTotal"] = self._revenues[row]
        if _usable(self._transactions[row]):
            order["purchaseID"] = self._transactions[row]
        return order


def _usable(value: Any) -> bool:
    return value is not None and value not in _UNUSABLE


def _page(url: str, title: str | None) -> dict[str, str]:
    return {"URL": url, "name": title} if title else {"URL": url}


def _field(table: pa.Table, column: str, child: str) -> list[Any]:
    values: list[Any] = pc.struct_field(table[column], child).to_pylist()
    return values


def _parameters(table: pa.Table) -> tuple[dict[int, int], dict[int, str], dict[int, str], dict[int, int]]:
    """Session ids, page URLs, page titles and engagement times, each by row; rows without one are absent."""
    column = table["event_params"].chunk(0) if table.num_rows else pa.array([], table.schema.field("event_params").type)
    entries, rows = column.flatten(), pc.list_parent_indices(column)
    keys = pc.struct_field(entries, "key")

    def of(key: str, kind: str) -> dict[int, Any]:
        mask = pc.equal(keys, key)
        values = pc.filter(pc.struct_field(entries, ["value", kind]), mask)
        pairs = zip(pc.filter(rows, mask).to_pylist(), values.to_pylist(), strict=True)
        return {row: value for row, value in pairs if value is not None}

    return (
        of("ga_session_id", "int_value"),
        of("page_location", "string_value"),
        of("page_title", "string_value"),
        of("engagement_time_msec", "int_value"),
    )


def _acted_on(table: pa.Table) -> dict[int, list[dict[str, Any]]]:
    """The items acted on, by row. An event carries its page's whole list; only an item with a quantity was touched."""
    column = table["items"].chunk(0) if table.num_rows else pa.array([], table.schema.field("items").type)
    entries, rows = column.flatten(), pc.list_parent_indices(column)
    touched = pc.is_valid(pc.struct_field(entries, "quantity"))
    wanted = ("item_id", "item_name", "quantity", "price_in_usd", "price", "item_revenue_in_usd")
    columns = [pc.filter(pc.struct_field(entries, name), touched).to_pylist() for name in wanted]
    found: dict[int, list[dict[str, Any]]] = {}
    for row, *values in zip(pc.filter(rows, touched).to_pylist(), *columns, strict=True):
        found.setdefault(row, []).append(_item(*values))
    return found


def _item(
    sku: str | None, name: str | None, quantity: int, usd: float | None, price: float | None, revenue: float | None
) -> dict[str, Any]:
    each = usd if usd is not None else price
    total = revenue if revenue is not None else (each * quantity if each is not None else None)
    item = {"SKU": sku, "name": name, "quantity": quantity, "priceTotal": total}
    return {key: value for key, value in item.items() if value is not None and value not in _UNUSABLE}
