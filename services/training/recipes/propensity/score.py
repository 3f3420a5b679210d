"""Score: the estimator's own answers, and rows on which an export is most likely to differ."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier

from services.training.recipes.propensity.dataset import Dataset

_THRESHOLDS_MAX = 2_000

Rows = NDArray[np.float32]


def score(classifier: Any, rows: Rows) -> NDArray[np.float64]:
    """Returns the estimator's positive probabilities float64[N]."""
    probabilities: NDArray[np.float64] = classifier.predict_proba(rows)[:, 1].astype(np.float64)
    return probabilities


def boundary_rows(classifier: Any, validation: Dataset, seed: int) -> Rows:
    """Returns rows at the classifier's edges: each split threshold and its float32 neighbours put into real rows;
    rows of zeros, and of each feature's extremes."""
    features = validation.features
    extremes = np.stack([np.zeros(features.shape[1]), features.min(axis=0), features.max(axis=0)]).astype(np.float32)
    thresholds = _thresholds(classifier)
    random = np.random.default_rng(seed)
    if len(thresholds) > _THRESHOLDS_MAX:
        thresholds = thresholds[np.sort(random.choice(len(thresholds), _THRESHOLDS_MAX, replace=False))]
    if not len(thresholds):
        return extremes
    columns, values = thresholds[:, 0].astype(np.int64), thresholds[:, 1].astype(np.float32)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    near = np.stack([np.nextafter(values, down), values, np.nextafter(values, up)], axis=1).ravel()
    rows = features[random.integers(0, len(features), len(near))].copy()
    rows[np.arange(len(near)), np.repeat(columns, 3)] = near
    return np.concatenate([extremes, rows])


def _thresholds(classifier: Any) -> NDArray[np.float64]:
    """Returns (feature, threshold) of every split, each once."""
    if not isinstance(classifier, GradientBoostingClassifier):
        return np.empty((0, 2))
    pairs = []
    for member in classifier.estimators_.ravel():
        splits = member.tree_.feature >= 0
        pairs.append(np.column_stack([member.tree_.feature[splits], member.tree_.threshold[splits]]))
    return np.unique(np.concatenate(pairs), axis=0)
