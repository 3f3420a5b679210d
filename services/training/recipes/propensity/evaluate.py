"""Evaluate: how good the scores are on rows the classifier has not seen."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from services.training.recipes.propensity.dataset import Dataset


def evaluate(validation: Dataset, scores: NDArray[np.float64]) -> dict[str, float]:
    """Returns AUC, log loss and Brier score, with the same of always saying the base rate beside them."""
    labels = validation.labels.astype(np.int64)
    base_rate = float(labels.mean())
    constant = np.full(len(labels), base_rate)
    return {
        "auc": float(roc_auc_score(labels, scores)),
        "log_loss": float(log_loss(labels, scores, labels=[0, 1])),
        "log_loss_base": float(log_loss(labels, constant, labels=[0, 1])),
        "brier": float(brier_score_loss(labels, scores)),
        "brier_base": float(brier_score_loss(labels, constant)),
        "base_rate": base_rate,
    }
