"""The aggregate in quixstreams: a stateful function (RocksDB with a changelog) and `to_topic`; defaults but for lz4.

Run by file name with the interpreter of an environment of its own: it imports nothing of the project.
Arguments: BOOTSTRAP GROUP SOURCE TARGET FOLDER LINGER_MS (empty: as it comes).
"""

import sys
from typing import Any

import quixstreams  # type: ignore[import-not-found,unused-ignore]


def aggregate(fact: dict[str, Any], state: Any) -> dict[str, Any]:
    """Returns the output of one event; the profile's numbers are kept in `state`."""
    order = fact["body"].get("commerce", {}).get("order", {})
    count, total, last = state.get("total", (0, 0.0, 0))
    count, total, last = count + 1, total + order.get("priceTotal", 0.0), max(last, fact["occurred_at"])
    state.set("total", (count, total, last))
    return {"id": fact["id"], "count": count, "sum": total, "last": last}


def main() -> None:
    bootstrap_servers, group, source, target, folder, linger_ms = sys.argv[1:]
    app = quixstreams.Application(
        broker_address=bootstrap_servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="ERROR",
        producer_extra_config={"compression.type": "lz4"} | ({"linger.ms": linger_ms} if linger_ms else {}),
    )
    facts = app.topic(source, key_deserializer="bytes", value_deserializer="json")
    totals = app.topic(target, key_serializer="bytes", value_serializer="json")
    app.dataframe(facts).apply(aggregate, stateful=True).to_topic(totals)
    app.run()


if __name__ == "__main__":
    main()
