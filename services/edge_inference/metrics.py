"""Metrics of edge inference. Labels are resolved once, not for each request."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
OUTCOMES = ("answered", "invalid", "not_found", "unavailable", "shed", "failed")


class RouteMetrics:
    """The metrics of one route, label values bound."""

    def __init__(self, route: str, requests: Counter, duration: Histogram) -> None:
        self.outcomes = {outcome: requests.labels(route, outcome) for outcome in OUTCOMES}
        self.duration = duration.labels(route)


class Metrics:
    """What the edge tells; implements the port `Telemetry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        requests = Counter(
            "freshet_edge_inference_requests_total",
            "Requests by route (infer, predict) and outcome.",
            ["route", "outcome"],
            registry=registry,
        )
        duration = Histogram(
            "freshet_edge_inference_request_duration_seconds",
            "Time from the request's head to the answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.infer = RouteMetrics("infer", requests, duration)
        self.predict = RouteMetrics("predict", requests, duration)
        self.in_flight = Gauge("freshet_edge_inference_in_flight", "Requests being worked on.", registry=registry)
        self._run_rows = Histogram(
            "freshet_edge_inference_run_rows", "Rows per model run.", buckets=_ROWS, registry=registry
        )
        self._runs_shared = Counter(
            "freshet_edge_inference_runs_shared_total", "Model runs that served several requests.", registry=registry
        )
        self._swaps = Counter(
            "freshet_edge_inference_swaps_total",
            "Champions taken over, by outcome: swapped, failed.",
            ["outcome"],
            registry=registry,
        )
        self._age = Gauge(
            "freshet_edge_inference_bundle_age_seconds",
            "Time since the served model's alias was moved to it.",
            ["model"],
            registry=registry,
        )
        self._info = Gauge(
            "freshet_model_info", "1 for each version being served.", ["model", "version", "alias"], registry=registry
        )
        self._known: dict[str, tuple[str, str, str]] = {}

    def ran(self, requests: int, rows: int) -> None:
        self._run_rows.observe(rows)
        if requests > 1:
            self._runs_shared.inc()

    def in_charge(self, model: str, version: int, alias: str, moved_at: int) -> None:
        """Notes which version of a model is being served, and since when (µs)."""
        if (previous := self._known.get(model)) is not None:
            self._info.remove(*previous)
        self._known[model] = (model, str(version), alias)
        self._info.labels(*self._known[model]).set(1)
        self._age.labels(model).set_function(lambda: time.time() - moved_at / 1e6)

    def swapped(self, outcome: str) -> None:
        self._swaps.labels(outcome).inc()
