"""Train: fit the classifier that the parameters ask for, the same way each time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from services.training.recipes.propensity.dataset import Dataset

_ITERATIONS_MAX = 1000


def fit(rows: Dataset, parameters: Mapping[str, Any]) -> Any:
    """Returns a fitted classifier of float32 rows. Labels are fitted as 0 and 1."""
    classifier = _classifier(parameters)
    classifier.fit(rows.features, rows.labels.astype(np.int64))
    return classifier


def _classifier(parameters: Mapping[str, Any]) -> Any:
    if parameters["estimator"] == "logistic_regression":
        # Fitted in float64: with float32 input the solver would also stop at float32 accuracy.
        regression = LogisticRegression(C=parameters["regularization"], max_iter=_ITERATIONS_MAX)
        return Pipeline([("scale", StandardScaler()), ("classify", regression)])
    # No scaler before trees: it gains nothing and moves split points across float32 neighbours.
    return GradientBoostingClassifier(
        n_estimators=parameters["n_estimators"],
        max_depth=parameters["max_depth"],
        learning_rate=parameters["learning_rate"],
        random_state=parameters["seed"],
    )
