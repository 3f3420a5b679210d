"""The batch peer: DuckDB recomputes every segment that SQL can say, over the same events, in one aggregation by user.

`productListItems.SKU` is that of the first item here (PQL looks at all of them): an advantage for DuckDB.
"""

import time
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from tests.bench.pql.definitions import Definition
from tests.bench.pql.workload import Workload, text_at

_COLUMNS_PER_QUERY = 500


def recompute(workload: Workload, wanted: Sequence[Definition]) -> dict[str, Any]:
    """Seconds for one recomputation of all segments, one thread as the engine has."""
    rows = [
        {
            "user": user,
            "ts": event.occurred_at,
            "type": event.type,
            "country": text_at(event.body, "placeContext.geo.country"),
            "device": text_at(event.body, "device.type"),
            "page": text_at(event.body, "web.webPageDetails.name"),
            "sku": text_at(event.body, "productListItems.SKU"),
            "price": event.body.get("commerce", {}).get("order", {}).get("priceTotal"),
        }
        for user, event in workload.events
    ]
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    connection.register("arrow", pa.Table.from_pylist(rows))
    connection.execute("create table events as select * from arrow")
    asked = [definition.sql for definition in wanted if definition.sql is not None]
    now = workload.events[-1][1].occurred_at
    started = time.process_time()
    for start in range(0, len(asked), _COLUMNS_PER_QUERY):
        columns = ", ".join(f"({sql}) as s{i}" for i, sql in enumerate(asked[start : start + _COLUMNS_PER_QUERY]))
        query = f'select "user", {columns} from events group by "user"'.replace("$now", str(now))
        connection.execute(f"create or replace table result as {query}")
    seconds = time.process_time() - started
    return {
        "segments_in_sql": len(asked),
        "recompute_cpu_s": round(seconds, 3),
        "us_per_event_if_recomputed_every_1000_events": round(seconds * 1e6 / 1_000, 1),
        "us_per_event_if_recomputed_once": round(seconds * 1e6 / len(rows), 2),
    }
