"""Split: the latest rows validate, as they will be met in service; by profile when time leaves too little."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from services.training.recipes.propensity.dataset import Dataset
from shared.kernel.errors import Rejected

ROWS_OF_CLASS_MIN = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to fit on and rows to validate on."""

    train: Dataset
    validation: Dataset
    by: Literal["time", "profile"]


def split(rows: Dataset, share: float, horizon: int) -> Split:
    """Returns a split in which each part holds both classes. Raises Rejected when there is none.

    By time: training rows whose horizon (µs) reaches into the validation period are left out, because their labels
    already know what happened there.
    """
    start = np.quantile(rows.at, 1 - share, method="higher")
    validates = rows.at >= start
    by_time = Split(rows.where(rows.at + horizon < start), rows.where(validates), "time")
    if _sound(by_time):
        return by_time
    of_group = rows.groups < share
    by_profile = Split(rows.where(~of_group), rows.where(of_group), "profile")
    if _sound(by_profile):
        return by_profile
    raise Rejected(
        f"the rows cannot be split into training and validation with both classes in each: {len(rows)} rows, "
        f"{rows.positives} of them positive; each part needs {ROWS_OF_CLASS_MIN} rows of each class. "
        "Check label_event_type, wait for more conversions, or raise samples_per_profile"
    )


def _sound(parts: Split) -> bool:
    return all(
        min(part.positives, len(part) - part.positives) >= ROWS_OF_CLASS_MIN for part in (parts.train, parts.validation)
    )
