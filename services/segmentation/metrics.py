"""Metrics of segmentation beyond those of every stage."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class SegmentationMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        name = "freshet_segmentation"
        self.transitions = Counter(
            f"{name}_transitions_total", "Memberships entered and exited.", ["change"], registry=registry
        )
        self.duplicates = Counter(
            f"{name}_duplicates_total", "Events left out because their id was counted already.", registry=registry
        )
        self.vectors = Counter(f"{name}_vectors_total", "Feature vectors emitted.", registry=registry)
        self.segments = Gauge(f"{name}_segments", "Segments in the running plan.", registry=registry)
        self.plan_revision = Gauge(f"{name}_plan_revision", "Definition changes applied so far.", registry=registry)
        self.previews_running = Gauge(f"{name}_previews_running", "Previews being computed.", registry=registry)
        self.previews = Counter(
            f"{name}_previews_total", "Previews ended: done, failed, cancelled.", ["outcome"], registry=registry
        )
