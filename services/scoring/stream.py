"""Which topic scoring reads and what it writes."""

from typing import Any

from services.scoring.handlers import Scoring
from shared.contracts.topics import FEATURE_VECTORS, INBOUND, SCORES
from shared.contracts.vectors import FeatureVector
from shared.runtime.stage import Stage


def stage(scoring: Scoring) -> Stage[FeatureVector, Any]:
    """Returns the stateless stage over `feature-vectors`."""
    return Stage("scoring", source=FEATURE_VECTORS, step=scoring.step, outputs=(SCORES, INBOUND), gate=scoring.ready)
