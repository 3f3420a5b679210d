"""The aggregate in stock Faust: one agent, a Table with a changelog, a send per event; its defaults where it has any.

`python -m tests.bench.peers.faust_agent BOOTSTRAP NAME SOURCE TARGET PARTITIONS`. The changelog topic
(`<NAME>-totals-changelog`) has been made by the benchmark.
"""

import sys
from typing import Any

import faust
from mode import Worker


def aggregating_app(bootstrap_servers: str, name: str, source: str, target: str, partitions: int) -> faust.App:
    """Returns an app whose agent counts and sums by profile and sends one record per event."""
    app = faust.App(
        name,
        broker=f"kafka://{bootstrap_servers}",
        store="memory://",
        value_serializer="json",
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_request_timeout=30.0,
        producer_compression_type="lz4",
        consumer_auto_offset_reset="earliest",
    )
    totals = app.Table("totals", default=lambda: (0, 0.0, 0), partitions=partitions)
    output = app.topic(target, key_serializer="raw", value_serializer="json")

    @app.agent(app.topic(source, key_serializer="raw", value_serializer="json"), name="aggregate")
    async def aggregate(stream: Any) -> None:
        async for event in stream.events():
            fact = event.value
            key = event.key.decode()
            order = fact["body"].get("commerce", {}).get("order", {})
            count, total, last = totals[key]
            count, total, last = count + 1, total + order.get("priceTotal", 0.0), max(last, fact["occurred_at"])
            totals[key] = (count, total, last)
            written = {"id": fact["id"], "count": count, "sum": total, "last": last}
            await output.send(key=event.key, value=written, timestamp=event.message.timestamp)

    return app


def main() -> None:
    bootstrap_servers, name, source, target, partitions = sys.argv[1:]
    app = aggregating_app(bootstrap_servers, name, source, target, int(partitions))
    app.finalize()
    Worker(app, loglevel="error").execute_from_commandline()


if __name__ == "__main__":
    main()
