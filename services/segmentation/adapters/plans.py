"""The running worker's definitions, kept up to date from the compacted definition topics."""

import gc

from services.segmentation.domain.decide import Tally
from services.segmentation.domain.definitions import Definitions, compile_definitions
from services.segmentation.metrics import SegmentationMetrics
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.vectors import FeatureSetDefinition
from shared.runtime.logging import get_logger


class RunningDefinitions:
    """Collects definitions as they arrive and compiles them when the stage next looks.

    Compiling is put off until then, so that reading a thousand definitions at start compiles one plan. Implements
    `Applied`.
    """

    def __init__(self, metrics: SegmentationMetrics) -> None:
        self._metrics = metrics
        self._segments: dict[str, SegmentDefinition] = {}
        self._feature_sets: dict[str, FeatureSetDefinition] = {}
        self._current = compile_definitions((), (), pql.Schema.permissive())
        self._stale = False
        self._log = get_logger("definitions")

    def on_segment(self, key: str, value: SegmentDefinition | None) -> None:
        """Takes over one record of `segment-definitions`."""
        if value is None:
            self._segments.pop(key, None)
        else:
            self._segments[key] = value
        self._stale = True

    def on_feature_set(self, key: str, value: FeatureSetDefinition | None) -> None:
        """Takes over one record of `feature-definitions`."""
        if value is None:
            self._feature_sets.pop(key, None)
        else:
            self._feature_sets[key] = value
        self._stale = True

    def current(self) -> Definitions:
        """Returns the definitions to decide by, compiled from all that has arrived."""
        if self._stale:
            self._stale = False
            self._compile()
        return self._current

    def _compile(self) -> None:
        # Types were checked when the definition was stored, against a schema that may have grown since.
        schema = pql.Schema.permissive()
        try:
            compiled = compile_definitions(self._segments.values(), self._feature_sets.values(), schema, self._current)
        except pql.PqlError as error:  # a reference that arrives before its target; the next record mends it
            self._log.warning("definitions_incomplete", error=str(error))
            return
        self._current = compiled
        # A plan is many thousand objects that live long: the collector must not walk them with every micro-batch.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._metrics.segments.set(len(compiled.versions))
        self._metrics.plan_revision.inc()
        self._log.info("definitions_applied", segments=len(compiled.versions), feature_sets=len(compiled.feature_sets))

    def segment_version(self, segment_id: str) -> int | None:
        return self.current().versions.get(segment_id)

    def feature_set_version(self, name: str) -> int | None:
        return {feature_set.name: feature_set.version for feature_set in self.current().feature_sets}.get(name)

    def report(self, tally: Tally) -> None:
        """Adds one step's tally to the metrics."""
        self._metrics.transitions.labels("entered").inc(tally.entered)
        self._metrics.transitions.labels("exited").inc(tally.exited)
        self._metrics.duplicates.inc(tally.duplicates)
        self._metrics.vectors.inc(tally.vectors)
