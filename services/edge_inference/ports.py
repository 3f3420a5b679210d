"""What the edge needs from the outside."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.contracts.models import ModelEvent

Matrix = NDArray[np.float32]


class Model(Protocol):
    """A loaded model; `run` may be called from several threads."""

    def run(self, rows: Matrix) -> Matrix:
        """Returns class probabilities float32[N, 2] for rows float32[N, F]."""
        ...


class Served(Protocol):
    """A model version being served. Whoever holds it is not touched by a swap."""

    @property
    def event(self) -> ModelEvent: ...

    @property
    def model(self) -> Model: ...


class Models(Protocol):
    """The models being served at this moment."""

    @property
    def served(self) -> Mapping[str, Served]: ...

    @property
    def pending(self) -> Mapping[str, ModelEvent]: ...

    @property
    def caught_up(self) -> bool: ...


class Vectors(Protocol):
    """The packed feature vectors that the profile store keeps for readers."""

    async def get(self, feature_set: str, profile_id: str) -> bytes | None:
        """Returns the packed vector, None when the profile has none. Raises Retryable when the store is silent."""
        ...


class Telemetry(Protocol):
    """Counts what happened."""

    def ran(self, requests: int, rows: int) -> None: ...
