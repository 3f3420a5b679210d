"""Metrics of the model registry."""

from prometheus_client import CollectorRegistry, Counter, Histogram


class Metrics:
    """Counts uploads, alias moves and artifact reads; labels are closed lists."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.uploads = Counter(
            "freshet_model_registry_uploads_total",
            "Uploads of model files, by outcome: created, known, refused.",
            ["outcome"],
            registry=registry,
        )
        self.check_duration = Histogram(
            "freshet_model_registry_check_duration_seconds",
            "Time of one upload's check in its own process.",
            registry=registry,
        )
        self.alias_moves = Counter(
            "freshet_model_registry_alias_moves_total",
            "Requests to move an alias, by outcome: moved, unchanged, conflict.",
            ["outcome"],
            registry=registry,
        )
        self.artifact_reads = Counter(
            "freshet_model_registry_artifact_reads_total",
            "Artifact downloads, by outcome: served, not_modified, refused.",
            ["outcome"],
            registry=registry,
        )

    def uploaded(self, outcome: str) -> None:
        self.uploads.labels(outcome).inc()

    def checked(self, seconds: float) -> None:
        self.check_duration.observe(seconds)

    def alias_moved(self, outcome: str) -> None:
        self.alias_moves.labels(outcome).inc()
