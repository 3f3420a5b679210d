"""What dashboards and alerts ask for, compared with the metrics that exist."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from deploy.prometheus.catalogue import Metric
from tests.architecture.promql import Expression, Selector, read
from tests.architecture.repository import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "freshet.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
_ADDED_BY_PROMETHEUS = frozenset({"job", "instance", "le"})
_OF_PROMETHEUS_ITSELF = frozenset({"up"})


@dataclass(frozen=True)
class Query:
    """An expression and where it stands."""

    place: str
    text: str

    @property
    def parsed(self) -> Expression:
        return read(self.text)


def dashboard() -> dict[str, Any]:
    loaded = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def panel_queries() -> Iterator[Query]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield Query(f"panel {panel['title']!r}", target["expr"])


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alert_queries() -> Iterator[Query]:
    yield from (Query(f"alert {rule['alert']}", rule["expr"]) for rule in alert_rules())


def unknown(query: Query, metrics: Iterable[Metric]) -> list[str]:
    """Returns a sentence for each metric, alternative of a name pattern or label that no service has."""
    labels: dict[str, set[str]] = {}
    for metric in metrics:
        for sample in metric.samples:
            labels.setdefault(sample, set()).update(metric.labels)
    labels |= {name: set() for name in _OF_PROMETHEUS_ITSELF}
    problems: list[str] = []
    reachable = set(_ADDED_BY_PROMETHEUS)
    for selector in query.parsed.selectors:
        chosen = selector.names_among(labels)
        reachable |= {label for name in chosen for label in labels[name]}
        problems += [f"{query.place}: no metric is called {name}" for name in _alternatives(selector) - chosen]
        for name in sorted(chosen):
            wrong = set(selector.matchers) - labels[name] - _ADDED_BY_PROMETHEUS
            problems += [f"{query.place}: {name} has no label {label}" for label in sorted(wrong)]
    problems += [
        f"{query.place}: nothing here has a label {label}" for label in sorted(query.parsed.grouped_by - reachable)
    ]
    return problems


def _alternatives(selector: Selector) -> set[str]:
    """Returns every name that a pattern like `freshet_(a|b)_total` spells out."""
    pattern = selector.name
    group = re.search(r"\(([^()]*)\)", pattern)
    if group is None:
        return {pattern.replace("\\", "")}
    return {pattern[: group.start()] + one + pattern[group.end() :] for one in group.group(1).split("|")}
