"""The running worker's definitions, kept up to date from the compacted definition topics."""

import gc

from services.segmentation.domain.decide import Tally
from services.segmentation.domain.definitions import Definitions
from services.segmentation.domain.generations import Generation, decode_generation, generation_id, generation_of
from services.segmentation.metrics import SegmentationMetrics
from shared import pql
from shared.contracts.definitions import SegmentDefinition
from shared.contracts.vectors import FeatureSetDefinition
from shared.runtime.logging import get_logger

_GENERATIONS_KEPT_MAX = 8
_CLEANED_EVERY = 200
"""Changes of definitions after which the garbage of older plans is looked for."""


class RunningDefinitions:
    """Collects definitions as they arrive and compiles them when somebody next looks.

    Compiling is put off until then, so that reading a thousand definitions at start compiles one plan. Implements
    `Newest` and `Applied`.
    """

    def __init__(self, metrics: SegmentationMetrics) -> None:
        self._metrics = metrics
        self._segments: dict[str, SegmentDefinition] = {}
        self._feature_sets: dict[str, FeatureSetDefinition] = {}
        self._newest = generation_of((), ())
        self._known: dict[str, Generation] = {}
        self._stale = False
        self._log = get_logger("definitions")
        self.revision = 0
        self._cleaned_at = 0

    def on_segment(self, key: str, value: SegmentDefinition | None) -> None:
        """Takes over one record of `segment-definitions`."""
        if value is None:
            self._segments.pop(key, None)
        else:
            self._segments[key] = value
        self._stale = True
        self.revision += 1

    def on_feature_set(self, key: str, value: FeatureSetDefinition | None) -> None:
        """Takes over one record of `feature-definitions`."""
        if value is None:
            self._feature_sets.pop(key, None)
        else:
            self._feature_sets[key] = value
        self._stale = True
        self.revision += 1

    def current(self) -> Definitions:
        return self.generation().definitions

    def under(self, plan: int) -> Definitions:
        newest = self.current()
        known = (g.definitions for g in self._known.values())
        return next((found for found in (newest, *known) if found.plan.key == plan), newest)

    def generation(self) -> Generation:
        """Returns the newest definitions, compiled from all that has arrived."""
        if self._stale:
            self._stale = False
            self._compile()
        return self._newest

    def generation_of(self, encoded: bytes, previous: Definitions | None = None) -> Generation:
        """Returns an older generation, compiled once."""
        id_ = generation_id(encoded)
        found = self._newest if self._newest.id == id_ else self._known.get(id_)
        if found is None:
            found = decode_generation(encoded, previous)
            self._keep(found)
        return found

    def _keep(self, generation: Generation) -> None:
        self._known[generation.id] = generation
        while len(self._known) > _GENERATIONS_KEPT_MAX:
            del self._known[next(iter(self._known))]

    def _compile(self) -> None:
        try:
            compiled = generation_of(self._segments.values(), self._feature_sets.values(), self._newest.definitions)
        except pql.PqlError as error:  # a reference that arrives before its target; the next record mends it
            self._log.warning("definitions_incomplete", error=str(error))
            return
        self._keep(self._newest)
        self._newest = compiled
        self._freeze()
        definitions = compiled.definitions
        self._metrics.segments.set(len(definitions.versions))
        self._metrics.plan_revision.inc()
        self._log.info(
            "definitions_read", segments=len(definitions.versions), feature_sets=len(definitions.feature_sets)
        )

    def _freeze(self) -> None:
        """Hides the plan from the collector: many thousand objects that live long, walked with every micro-batch."""
        # What older plans leave behind is little, and looking for it among everything takes some tenths of a second.
        if self.revision - self._cleaned_at >= _CLEANED_EVERY:
            self._cleaned_at = self.revision
            gc.unfreeze()
            gc.collect()
        else:
            gc.collect(1)
        gc.freeze()

    def report(self, tally: Tally) -> None:
        """Adds one step's tally to the metrics."""
        self._metrics.transitions.labels("entered").inc(tally.entered)
        self._metrics.transitions.labels("exited").inc(tally.exited)
        self._metrics.duplicates.inc(tally.duplicates)
        self._metrics.vectors.inc(tally.vectors)
