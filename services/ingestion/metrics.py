"""Metrics of ingestion beyond those of every stage."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class IngestionMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "freshet_ingestion_events_total",
            "Messages at the HTTP door: accepted, invalid, or not confirmed by Kafka.",
            ["outcome"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "freshet_ingestion_in_flight", "HTTP messages that wait for Kafka's confirmation.", registry=registry
        )
        for outcome in ("accepted", "invalid", "unconfirmed"):
            self.events.labels(outcome)
