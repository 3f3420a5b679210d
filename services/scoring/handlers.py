"""Scoring's one verb: score the vectors of a micro-batch, one model run per champion."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.scoring.domain import fits, make_score, outputs_of
from services.scoring.ports import Champion, Champions, Telemetry
from shared.contracts.vectors import FeatureVector
from shared.runtime.stage import Batch, Effects, Record


class Scoring:
    """The stage's step. Vectors of another feature set than a champion's are counted and left out: they are not
    wrong, the model is merely older or newer than they are."""

    def __init__(self, champions: Champions, telemetry: Telemetry) -> None:
        self._champions = champions
        self._telemetry = telemetry

    def ready(self) -> bool:
        """Vectors wait in the log until the first champion is known."""
        return self._champions.caught_up and bool(self._champions.served)

    def step(self, batch: Batch[FeatureVector, Any]) -> Effects[Any]:
        """Scores a micro-batch. Repeats after a crash carry the same ids."""
        effects: Effects[Any] = Effects()
        for champion in self._champions.served.values():
            name = champion.event.manifest.feature_set
            mine = [record for record in batch.records if record.value.feature_set == name]
            fitting = [record for record in mine if fits(champion.event, record.value)]
            self._telemetry.left_out("feature_set_mismatch", len(mine) - len(fitting))
            if fitting:
                self._score(champion, fitting, effects)
        return effects

    def _score(self, champion: Champion, records: Sequence[Record[FeatureVector]], effects: Effects[Any]) -> None:
        started = time.perf_counter()
        values = champion.model.scores(np.array([record.value.values for record in records], dtype=np.float32))
        self._telemetry.inferred(champion.event.model, time.perf_counter() - started)
        scored = 0
        for record, value in zip(records, values, strict=True):
            if (score := make_score(champion.event, record.value, value)) is not None:
                effects.outputs.extend(outputs_of(score, record))
                scored += 1
        self._telemetry.scored(champion.event.alias, scored)
        self._telemetry.left_out("not_finite", len(records) - scored)
