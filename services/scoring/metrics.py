"""Metrics of scoring, besides those of its stage."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)


class Metrics:
    """Counters of scores and timings of model runs; implements the port `Telemetry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._scores = Counter("freshet_scoring_scores_total", "Scores written.", ["alias"], registry=registry)
        self._left_out = Counter(
            "freshet_scoring_vectors_left_out_total",
            "Vectors not scored: feature_set_mismatch, not_finite.",
            ["reason"],
            registry=registry,
        )
        self._inference = Histogram(
            "freshet_scoring_inference_duration_seconds",
            "Time of one model run over a micro-batch; node is the model.",
            ["node"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._load_failures = Counter(
            "freshet_scoring_model_load_failures_total", "Champions that could not be loaded.", registry=registry
        )
        self._info = Gauge(
            "freshet_model_info", "1 for each version in charge.", ["model", "version", "alias"], registry=registry
        )
        self._known: dict[str, tuple[str, str, str]] = {}

    def inferred(self, model: str, seconds: float) -> None:
        self._inference.labels(model).observe(seconds)

    def scored(self, alias: str, rows: int) -> None:
        self._scores.labels(alias).inc(rows)

    def left_out(self, outcome: str, rows: int) -> None:
        if rows:
            self._left_out.labels(outcome).inc(rows)

    def in_charge(self, model: str, version: int, alias: str) -> None:
        """Notes which version of a model is in charge now."""
        if (previous := self._known.get(model)) is not None:
            self._info.remove(*previous)
        self._known[model] = (model, str(version), alias)
        self._info.labels(*self._known[model]).set(1)

    def load_failed(self) -> None:
        self._load_failures.inc()
