"""Metrics of training."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """Counts requests and runs; labels are closed lists."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "freshet_training_requests_total",
            "Requests read from the topic, by outcome: accepted, repeated, refused.",
            ["outcome"],
            registry=registry,
        )
        self.runs = Counter(
            "freshet_training_runs_total",
            "Attempts ended, by state: DONE, FAILED, ABORTED, RETRY.",
            ["state"],
            registry=registry,
        )
        self.run_duration = Histogram(
            "freshet_training_run_duration_seconds", "Wall time of one attempt.", buckets=_SECONDS, registry=registry
        )
        self.running = Gauge("freshet_training_running", "Runs in execution, 0 or 1.", registry=registry)
