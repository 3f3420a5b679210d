"""Metrics that every process and every stage has; labels are bounded (partition, reason, dependency)."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ROWS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)


class HealthMetrics:
    """Readiness and resource use of a process: the same names in every service, told apart by Prometheus's job."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ready = Gauge("freshet_ready", "1 when /readyz answers 200.", registry=registry)
        self._dependency = Gauge(
            "freshet_dependency_ready", "1 when the dependency answers.", ["dependency"], registry=registry
        )
        self._tasks = Gauge("freshet_asyncio_tasks", "Tasks alive in the event loop.", registry=registry)
        ProcessCollector(registry=registry)

    def note(self, ready: bool, checks: Mapping[str, str], tasks: int) -> None:
        """Takes over the outcome of one round of checks, and how many tasks the event loop has."""
        self._ready.set(ready)
        self._tasks.set(tasks)
        for name, word in checks.items():
            self._dependency.labels(name).set(word == "ok")


class StageMetrics:
    """Counters and gauges of one stage, registered once per process."""

    def __init__(self, service: str, registry: CollectorRegistry) -> None:
        name = f"freshet_{service}"
        self.records = Counter(f"{name}_records_total", "Records applied, durably.", registry=registry)
        self.rejected = Counter(f"{name}_rejected_total", "Records sent to the DLQ.", ["reason"], registry=registry)
        self.outputs = Counter(f"{name}_outputs_total", "Records produced.", ["topic"], registry=registry)
        self.deadlines = Counter(f"{name}_deadlines_total", "Deadlines that came due.", registry=registry)
        self.batch_rows = Histogram(f"{name}_batch_rows", "Records per micro-batch.", buckets=_ROWS, registry=registry)
        self.step = Histogram(
            f"{name}_handler_duration_seconds", "Time of one pure step.", buckets=_SECONDS, registry=registry
        )
        self.settle = Histogram(
            f"{name}_settle_duration_seconds",
            "From a step's end until its effects are durable.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.lag_records = Gauge(f"{name}_lag_records", "Records not yet applied.", ["partition"], registry=registry)
        self.event_time_lag = Gauge(
            f"{name}_event_time_lag_seconds", "Age at apply of the newest record, by Kafka time.", registry=registry
        )
        self.applied_offset = Gauge(f"{name}_applied_offset", "Last applied offset.", ["partition"], registry=registry)
        self.states = Gauge(f"{name}_states_cached", "Decoded states held in memory.", registry=registry)
        self.states_bytes = Gauge(f"{name}_states_cached_bytes", "Their size, encoded.", registry=registry)
        self.queued_rows = Gauge(f"{name}_queued_rows", "Records that wait for their step.", registry=registry)
        self.queued_bytes = Gauge(f"{name}_queued_bytes", "Bytes of records that wait.", registry=registry)
        self.limit_reached = Counter(
            f"{name}_limit_reached_total",
            "Times a bound held work back: inbox, unsettled, states, deadlines.",
            ["limit"],
            registry=registry,
        )
        for limit in ("inbox", "unsettled", "states", "deadlines"):
            self.limit_reached.labels(limit)
        self.state_bytes = Counter(f"{name}_state_bytes_total", "Encoded state written.", registry=registry)
        self.partitions = Gauge(f"{name}_partitions", "Partitions this process owns.", registry=registry)

    def forget_partition(self, partition: int) -> None:
        """Drops the gauges of a partition that another worker owns now."""
        for gauge in (self.lag_records, self.applied_offset):
            if (str(partition),) in gauge._metrics:
                gauge.remove(str(partition))
