"""Models: manifests, immutable versions, movable aliases, and training requests."""

from typing import Any, Literal

import msgspec


class Parity(msgspec.Struct, frozen=True):
    """Agreement of the exported ONNX graph with the trained estimator, on every validation row."""

    rows: int
    max_abs: float
    label_flips: int


class ModelManifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model version is: travels with it from training to edge. Times are µs.

    Input: `input_name` float32[N, len(features)]; output: `output_name` float32[N, 2] class probabilities.
    """

    model: str
    digest: str
    feature_set: str
    feature_set_hash: str
    features: tuple[str, ...]
    defaults: tuple[float, ...]
    input_name: str
    output_name: str
    label: str
    trained_at: int
    rows_train: int
    rows_validation: int
    metrics: dict[str, float]
    parity: Parity
    threshold: float = 0.5
    run_id: str = ""
    recipe: str = ""
    hyperparameters: dict[str, Any] = msgspec.field(default_factory=dict)
    schema_version: int = 1


class ModelEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version was registered, or an alias moved. Keyed `model/versions/N` or `model/aliases/NAME` (compacted).

    `revision` is the alias's compare-and-set counter. `manifest` is whole, so that a reader needs no registry
    but for the artifact itself, which it asks for by digest.
    """

    kind: Literal["version", "alias"]
    model: str
    version: int
    digest: str
    manifest: ModelManifest
    occurred_at: int
    alias: str = ""
    revision: int = 0
    schema_version: int = 1

    @property
    def key(self) -> str:
        return f"{self.model}/aliases/{self.alias}" if self.kind == "alias" else f"{self.model}/versions/{self.version}"


class TrainingRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Asks for one training run. The same `id` never runs twice. `parameters` override the recipe's defaults."""

    id: str
    recipe: str
    model: str
    requested_at: int
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    trigger: Literal["manual", "schedule"] = "manual"
    promote: bool = True
    schema_version: int = 1
