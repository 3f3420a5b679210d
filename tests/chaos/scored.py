"""Scores: each vector that was told has one score, bit-equal to the model run over it alone; each comes back as one
fact; and the newest vector of each profile is scored."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime

from shared.contracts.scores import Score
from shared.contracts.topics import SCORES
from shared.contracts.vectors import FeatureVector
from shared.kernel.ids import digest_id
from tests.chaos.findings import Findings
from tests.chaos.model import RAW_MODEL
from tests.chaos.oracle import Folded
from tests.chaos.reading import Reader
from tests.chaos.segments import MODEL
from tests.support.models import INPUT, OUTPUT

Allowed = Mapping[str, frozenset[float]]
"""By profile, what its score may be: more than one value only where vectors share their instant."""


def check_scores(
    findings: Findings,
    read: Reader,
    profiles: Mapping[str, Folded],
    vectors: Mapping[str, FeatureVector],
    returned: Mapping[str, Any],
) -> Allowed:
    """`vectors` by id; `returned`: the value below `_freshet` of each score that is a fact, by id. Returns which score
    each profile has to have."""
    scores = _scores(findings, read)
    findings.same_keys(
        "I5 every score comes back as one fact", {s.id: {MODEL: s.value} for s in scores.values()}, returned, "score"
    )
    by_vector: dict[str, Score] = {}
    for score in scores.values():
        same = by_vector.setdefault(score.vector_id, score)
        findings.expect("I8 a vector has one score", same is score, score.vector_id)
    findings.same_keys(
        "I8 each vector is scored", dict.fromkeys(vectors, True), dict.fromkeys(by_vector, True), "vector"
    )
    predicted = _predicted([vectors[id_] for id_ in by_vector if id_ in vectors])
    for id_, value in predicted.items():
        findings.equal("I8 predictions are the model's, bit for bit", value.hex(), by_vector[id_].value.hex(), id_)
    return _newest(findings, read, profiles, by_vector)


def _scores(findings: Findings, read: Reader) -> dict[str, Score]:
    seen: dict[str, Score] = {}
    repeated = 0
    for record in read.good(SCORES):
        score = SCORES.codec.decode(record.value)
        known = seen.setdefault(score.id, score)
        repeated += known is not score
        findings.equal("I6 equal ids have equal content", known, score, "score")
    findings.checked["scores"] += len(seen)
    findings.checked["repeated scores"] += repeated
    return seen


def _predicted(vectors: list[FeatureVector]) -> dict[str, float]:
    """Runs the model over each vector alone, so that nothing depends on what it was scored together with."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(RAW_MODEL, options, providers=["CPUExecutionProvider"])
    return {
        vector.id: float(session.run([OUTPUT], {INPUT: np.array([vector.values], dtype=np.float32)})[0][0, -1])
        for vector in vectors
    }


def _newest(
    findings: Findings, read: Reader, profiles: Mapping[str, Folded], by_vector: Mapping[str, Score]
) -> Allowed:
    allowed = {}
    for key, folded in profiles.items():
        if not folded.vectors:
            continue
        *_, newest = folded.vectors
        as_of = folded.vectors[newest][0]
        of = [fact for fact, (at, _) in folded.vectors.items() if at == as_of]
        ids = {fact: digest_id("vector", key, fact, read.job.feature_hash) for fact in of}
        findings.expect("I8 the newest vector of each profile is scored", ids[newest] in by_vector, key)
        allowed[key] = frozenset(by_vector[id_].value for id_ in ids.values() if id_ in by_vector)
    return allowed
