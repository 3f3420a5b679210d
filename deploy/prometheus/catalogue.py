"""The metrics that exist, read from the registries that the services themselves fill.

`python -m deploy.prometheus.catalogue --write` renews the table in `README.md` beside this file; without the option
it is printed. Dashboards, alerts and the table are compared with this catalogue in tests.
"""

import argparse
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from shared.runtime.metrics import StageMetrics

SERVICES_FOLDER = Path(__file__).resolve().parents[2] / "services"
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- metrics:begin -->", "<!-- metrics:end -->"

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
_PROCESS_METRICS = {
    "process_cpu_seconds_total": ("counter", "CPU time used, seconds."),
    "process_max_fds": ("gauge", "Most file descriptors the process may open."),
    "process_open_fds": ("gauge", "File descriptors open."),
    "process_resident_memory_bytes": ("gauge", "Resident memory, bytes."),
    "process_start_time_seconds": ("gauge", "When the process started, seconds since 1970."),
    "process_virtual_memory_bytes": ("gauge", "Virtual memory, bytes."),
}


@dataclass(frozen=True, slots=True, order=True)
class Metric:
    """One metric of one service. `samples` are the names that Prometheus stores; labels are the metric's own."""

    name: str
    service: str
    kind: str
    labels: tuple[str, ...]
    doc: str

    @property
    def samples(self) -> tuple[str, ...]:
        if self.name in _PROCESS_METRICS:
            return (self.name,)
        return tuple(self.name.removesuffix("_total") + suffix for suffix in _SUFFIXES[self.kind])


def service_names() -> tuple[str, ...]:
    """Returns the folders below `services/` that run as a process."""
    return tuple(sorted(file.parent.name for file in SERVICES_FOLDER.glob("*/__main__.py")))


def catalogue() -> tuple[Metric, ...]:
    """Returns every metric of every service, by name and service."""
    return tuple(sorted(metric for service in service_names() for metric in metrics_of(service)))


def metrics_of(service: str) -> Iterator[Metric]:
    """Yields the metrics of one service: what every process has, what every stage has, and its own."""
    registry = CollectorRegistry()
    create_api(service, "", Health(), registry)
    # Only the bootstrap knows whether a service runs a stage; a live scrape in the tests confirms what it says.
    if StageMetrics.__name__ in (SERVICES_FOLDER / service / "app.py").read_text(encoding="utf-8"):
        StageMetrics(service, registry)
    for owner in _metric_classes(importlib.import_module(f"services.{service}.metrics")):
        owner(registry)
    # The registry tells names and help of metrics without samples, but their labels only the metric itself.
    for collector in registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            yield _described(service, collector)
    yield from (Metric(name, service, kind, (), doc) for name, (kind, doc) in _PROCESS_METRICS.items())


def _metric_classes(module: Any) -> Iterator[type]:
    """Yields the module's own classes that are made from a registry alone."""
    for _, found in inspect.getmembers(module, inspect.isclass):
        parameters = list(inspect.signature(found).parameters.values())
        takes_registry = len(parameters) == 1 and parameters[0].annotation is CollectorRegistry
        if found.__module__ == module.__name__ and takes_registry:
            yield found


def _described(service: str, collector: MetricWrapperBase) -> Metric:
    (family,) = collector.describe()
    name = family.name + "_total" if family.type == "counter" else family.name
    return Metric(name, service, family.type, tuple(collector._labelnames), family.documentation)


def table() -> str:
    """Returns the catalogue as a Markdown table; metrics that several services share are one row."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for metric in catalogue():
        generic = metric.name.replace(f"freshet_{metric.service}_", "freshet_<service>_", 1)
        key = (generic, metric.kind, ", ".join(metric.labels), metric.doc)
        rows.setdefault(key, []).append(metric.service)
    lines = ["| metric | type | labels | services | meaning |", "|---|---|---|---|---|"]
    for (generic, kind, labels, doc), services in sorted(rows.items()):
        one = len(services) == 1
        name = generic.replace("<service>", services[0]) if one else generic
        where = "all" if len(services) == len(service_names()) else ", ".join(services)
        lines.append(f"| `{name}` | {kind} | {labels} | {where} | {doc} |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    """Returns `text` with what stands between the markers replaced by the table."""
    before, marker, rest = text.partition(BEGIN)
    _, closing, after = rest.partition(END)
    if not marker or not closing:
        raise ValueError(f"expected the markers {BEGIN} and {END} in the text, found them missing")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Shows the metrics of all services as a Markdown table.")
    parser.add_argument("--write", action="store_true", help="renew the table in README.md")
    if parser.parse_args().write:
        README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
