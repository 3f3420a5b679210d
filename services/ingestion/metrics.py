"""Metrics of ingestion beyond those of every stage."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class IngestionMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        name = "freshet_ingestion"
        self.events = Counter(
            f"{name}_events_total",
            "Messages at the HTTP door: accepted, invalid, or not confirmed by Kafka.",
            ["outcome"],
            registry=registry,
        )
        self.in_flight = Gauge(
            f"{name}_in_flight", "HTTP messages that wait for Kafka's confirmation.", registry=registry
        )
        self.in_flight_bytes = Gauge(
            f"{name}_in_flight_bytes", "Bytes of HTTP bodies being handled.", registry=registry
        )
        self.collect_duration = Histogram(
            f"{name}_collect_duration_seconds",
            "From a collection request's arrival until its messages are durable.",
            ["door"],
            buckets=_SECONDS,
            registry=registry,
        )
        for outcome in ("accepted", "invalid", "unconfirmed"):
            self.events.labels(outcome)
