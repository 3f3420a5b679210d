"""Save: export, prove, register, promote."""

from hashlib import sha256
from typing import Any

import numpy as np

from services.training.adapters.onnx_export import (
    INPUT_NAME,
    OUTPUT_NAME,
    measure_parity,
    require_parity,
    to_onnx,
)
from services.training.adapters.run_files import keep_model
from services.training.recipes.context import Context
from services.training.recipes.propensity.score import boundary_rows, score
from services.training.recipes.propensity.split import Split
from shared.contracts.models import ModelManifest, Parity
from shared.contracts.vectors import FeatureSetDefinition


def export(classifier: Any, parts: Split, threshold: float, seed: int) -> tuple[bytes, Parity]:
    """Converts and compares on every validation row and the boundary rows. Raises Rejected when they differ."""
    raw = to_onnx(classifier, parts.validation.features.shape[1])
    rows = np.concatenate([parts.validation.features, boundary_rows(classifier, parts.validation, seed)])
    parity = measure_parity(raw, rows, score(classifier, rows), threshold)
    require_parity(parity)
    return raw, parity


def describe(
    context: Context,
    definition: FeatureSetDefinition,
    parts: Split,
    raw: bytes,
    parity: Parity,
    metrics: dict[str, float],
) -> ModelManifest:
    """Returns the manifest of an exported model."""
    return ModelManifest(
        model=context.model,
        digest=sha256(raw).hexdigest(),
        feature_set=definition.name,
        feature_set_hash=definition.hash,
        features=tuple(feature.name for feature in definition.features),
        defaults=tuple(feature.default for feature in definition.features),
        input_name=INPUT_NAME,
        output_name=OUTPUT_NAME,
        label=context.parameters["label_event_type"],
        trained_at=context.clock.now(),
        rows_train=len(parts.train),
        rows_validation=len(parts.validation),
        metrics=metrics,
        parity=parity,
        threshold=context.parameters["threshold"],
        run_id=context.run_id,
        recipe="propensity",
        hyperparameters=dict(context.parameters),
    )


def publish(context: Context, manifest: ModelManifest, raw: bytes) -> tuple[int, bool]:
    """Keeps a copy in the run's folder, registers, and promotes if asked; returns version and championship."""
    keep_model(context.folder, manifest, raw)
    version = context.registry.register(manifest, raw)
    return version, context.promote and context.registry.promote(context.model, version)
