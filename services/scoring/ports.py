"""What scoring needs from the outside."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.contracts.models import ModelEvent


class Predictor(Protocol):
    """A loaded model."""

    def scores(self, rows: NDArray[np.float32]) -> list[float]:
        """Returns one probability for each row of float32[N, F]."""
        ...


class Champion(Protocol):
    """A model version that is in charge of its model's scores."""

    @property
    def event(self) -> ModelEvent: ...

    @property
    def model(self) -> Predictor: ...


class Champions(Protocol):
    """The champions of all models at this moment."""

    @property
    def served(self) -> Mapping[str, Champion]: ...

    @property
    def caught_up(self) -> bool: ...


class Telemetry(Protocol):
    """Counts what happened."""

    def inferred(self, model: str, seconds: float) -> None: ...

    def scored(self, alias: str, rows: int) -> None: ...

    def left_out(self, outcome: str, rows: int) -> None: ...
