"""From vectors and probabilities to scores: pure."""

import math

from shared.contracts.headers import trace_of
from shared.contracts.inbound import (
    RECEIVED_AT_HEADER,
    SCORES_DATASET,
    InboundBody,
    InboundHeader,
    InboundMessage,
)
from shared.contracts.models import ModelEvent
from shared.contracts.scores import Score
from shared.contracts.topics import INBOUND, SCORES
from shared.contracts.vectors import FeatureVector
from shared.kernel.clock import format_instant
from shared.kernel.ids import PROFILE_ID_NAMESPACE, score_id
from shared.runtime.stage import Output, Record


def fits(event: ModelEvent, vector: FeatureVector) -> bool:
    """Tells whether the vector was made from exactly the feature set the model was trained on."""
    return vector.feature_set_hash == event.manifest.feature_set_hash and len(vector.values) == len(
        event.manifest.features
    )


def make_score(event: ModelEvent, vector: FeatureVector, value: float) -> Score | None:
    """Returns the score of a vector, None when the model's answer is not a number; the id is the same whenever the
    same version scores the same vector."""
    if not math.isfinite(value):
        return None
    return Score(
        id=score_id(vector.profile_id, vector.id, event.model, event.version),
        tenant=vector.tenant,
        profile_id=vector.profile_id,
        model=event.model,
        model_version=event.version,
        alias=event.alias,
        vector_id=vector.id,
        as_of=vector.as_of,
        value=value,
    )


def outputs_of(score: Score, cause: Record[FeatureVector]) -> tuple[Output, Output]:
    """Returns the score for its topic, and the same as a fact that re-enters the person's log."""
    headers = trace_of(cause.headers)
    received_at = (RECEIVED_AT_HEADER, str(score.as_of).encode())
    return (
        Output(SCORES, score.profile_id, score, headers, timestamp_ms=cause.timestamp_ms),
        Output(INBOUND, score.profile_id, _fact(score), (*headers, received_at)),
    )


def _fact(score: Score) -> InboundMessage:
    entity = {
        "_id": score.id,
        "identityMap": {PROFILE_ID_NAMESPACE: [{"id": score.profile_id, "primary": True}]},
        "timestamp": format_instant(score.as_of),
        "_freshet": {score.model: score.value},
    }
    return InboundMessage(InboundHeader(SCORES_DATASET), InboundBody(entity))
