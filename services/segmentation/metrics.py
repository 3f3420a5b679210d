"""Metrics of segmentation beyond those of every stage."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.segmentation.domain.status import Status


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
        self.backfill_partitions = Gauge(
            f"{name}_backfill_partitions", "Partitions on their way to new definitions.", registry=registry
        )
        self.backfill_ratio = Gauge(
            f"{name}_backfill_ratio", "Share of that way done, 1 when there is none to go.", registry=registry
        )
        self.backfill_profiles = Gauge(
            f"{name}_backfill_profiles", "Profiles brought over on the way that is under way.", registry=registry
        )

    def note_backfill(self, statuses: Sequence[Status]) -> None:
        """Takes over how far this process's partitions have come."""
        going = [status for status in statuses if status.target]
        self.backfill_partitions.set(len(going))
        self.backfill_ratio.set(sum(status.share for status in going) / len(going) if going else 1.0)
        self.backfill_profiles.set(sum(status.profiles for status in going))
