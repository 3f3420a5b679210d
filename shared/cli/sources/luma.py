"""The Luma demo shop: XDM ExperienceEvents already, in order of arrival.

Log time is `receivedTimestamp` (`timestamp` where there is none): 146 events arrived more than a minute late and 25
before they happened, and a replay that sorted them by event time would hide what a live system has to cope with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.cli.sources.source import Datasets, SourceError, SourceEvent, event_of
from shared.contracts.facts import Identity
from shared.kernel.clock import Micros, format_instant

NAMESPACE = "ECID"
FILE = "luma_web.parquet"

_KEPT = ("commerce", "productListItems", "web", "placeContext", "marketing", "device")
_ROWS = 4096

EVENT_TYPES = (
    ("purchases", "commerce.purchases"),
    ("checkouts", "commerce.checkouts"),
    ("productListAdds", "commerce.productListAdds"),
    ("productViews", "commerce.productViews"),
    ("productListViews", "commerce.productListViews"),
)
"""The data has no `eventType`: the first commerce measure that is set names it, then a link click, then a page view."""


@dataclass(frozen=True)
class LumaSource:
    """Reads `luma_web.parquet` of `folder`. Rows without an ECID are left out: nobody can be told from them."""

    folder: Path
    name: str = "luma"
    conversion: str = "commerce.purchases"

    def count(self, until: Micros | None = None) -> int:
        arrivals = _table(self.folder / FILE)["received_us"]
        return len(arrivals) if until is None else pc.sum(pc.less(arrivals, until)).as_py() or 0

    def read(self, datasets: Datasets) -> Iterator[SourceEvent]:
        table = _table(self.folder / FILE)
        for batch in table.to_batches(max_chunksize=_ROWS):
            times, arrivals = batch["occurred_us"].to_pylist(), batch["received_us"].to_pylist()
            plain = batch.drop_columns(["occurred_us", "received_us"]).to_pylist()
            for row, occurred, received in zip(plain, times, arrivals, strict=True):
                ids = _identities(row["endUserIDs"]["_experience"])
                entity = _entity(row, occurred, ids)
                yield event_of(datasets.events, entity, received, Identity(NAMESPACE, ids[NAMESPACE], True))


def _table(path: Path) -> pa.Table:
    """Reads the kept columns of rows with an ECID, with event and log times in µs, in order of arrival."""
    if not path.exists():
        raise SourceError(f"{path.parent} holds no {FILE} of the Luma data set")
    try:
        table = pq.read_table(path, columns=["_id", "timestamp", "receivedTimestamp", "endUserIDs", *_KEPT])
        table = table.filter(pc.is_valid(pc.struct_field(table["endUserIDs"], ["_experience", "mcid", "id"])))
        occurred = _micros(table["timestamp"])
        received = pc.coalesce(_micros(table["receivedTimestamp"]), occurred)
        table = table.drop_columns(["timestamp", "receivedTimestamp"])
        table = table.append_column("occurred_us", occurred).append_column("received_us", received)
        order = [("received_us", "ascending"), ("occurred_us", "ascending"), ("_id", "ascending")]
        return table.take(pc.sort_indices(table, sort_keys=order)).combine_chunks()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise SourceError(f"{path} cannot be read as Luma's Parquet: {error}") from error


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())


def _identities(known: dict[str, Any]) -> dict[str, str]:
    aaid = (known["aaid"] or {}).get("id")
    return {NAMESPACE: known["mcid"]["id"]} | ({"AAID": aaid} if aaid else {})


def _entity(row: dict[str, Any], occurred: int, ids: dict[str, str]) -> dict[str, Any]:
    kept = {key: value for key in _KEPT if (value := _without_nulls(row[key])) is not None}
    entity = {
        "_id": row["_id"],
        "timestamp": format_instant(occurred),
        "eventType": _event_type(kept),
        "identityMap": {space: [{"id": value, "primary": space == NAMESPACE}] for space, value in ids.items()},
        **kept,
    }
    if entity["eventType"] == "commerce.purchases":
        # The data prices each item only; an order's total lets one field serve every source.
        total = sum(item.get("priceTotal", 0.0) for item in kept.get("productListItems", ()))
        entity["commerce"].setdefault("order", {})["priceTotal"] = round(total, 2)
    return entity


def _event_type(entity: dict[str, Any]) -> str:
    commerce = entity.get("commerce", {})
    for measure, event_type in EVENT_TYPES:
        if measure in commerce:
            return event_type
    clicked = "linkClicks" in entity.get("web", {}).get("webInteraction", {})
    return "web.webinteraction.linkClicks" if clicked else "web.webpagedetails.pageViews"


def _without_nulls(value: Any) -> Any:
    """Drops nulls and what is empty without them; returns None when nothing is left."""
    if isinstance(value, dict):
        return {key: kept for key, item in value.items() if (kept := _without_nulls(item)) is not None} or None
    if isinstance(value, list):
        return [kept for item in value if (kept := _without_nulls(item)) is not None] or None
    return value
