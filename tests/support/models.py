"""Small ONNX models, manifests and events for tests, with only the fields that matter said aloud."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shared.adapters.artifacts import artifact_digest
from shared.contracts.models import ModelEvent, ModelManifest, Parity

INPUT = "features"
OUTPUT = "probabilities"
FEATURES = ("visits", "carts", "age_days")
OPSETS = (helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3))


def linear_graph(weights: Sequence[float] = (1.0, 2.0, -0.5), bias: float = -1.0) -> Any:
    """A logistic regression as a graph: [1 - p, p] for each row."""
    column = np.array(weights, dtype=np.float32).reshape(-1, 1)
    nodes = [
        helper.make_node("Gemm", [INPUT, "weights", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", ["q", "p"], [OUTPUT], axis=1),
    ]
    initializers = [
        numpy_helper.from_array(column, "weights"),
        numpy_helper.from_array(np.array([bias], dtype=np.float32), "bias"),
        numpy_helper.from_array(np.array([1.0], dtype=np.float32), "one"),
    ]
    return helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(column)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 2])],
        initializers,
    )


def to_bytes(graph: Any, opsets: Sequence[Any] = OPSETS, **more: Any) -> bytes:
    """Wraps a graph into a model file."""
    raw: bytes = helper.make_model(graph, opset_imports=list(opsets), ir_version=9, **more).SerializeToString()
    return raw


def linear_model(weights: Sequence[float] = (1.0, 2.0, -0.5), bias: float = -1.0) -> bytes:
    return to_bytes(linear_graph(weights, bias))


def constant_model(value: float, features: int = len(FEATURES)) -> bytes:
    """A model that answers `value` whatever it is asked: tells which version answered."""
    return linear_model([0.0] * features, float(np.log(value / (1 - value))))


def manifest_of(raw: bytes, **fields: Any) -> ModelManifest:
    """A manifest that fits `raw`; `fields` replace."""
    defaults: dict[str, Any] = {
        "model": "propensity",
        "digest": artifact_digest(raw),
        "feature_set": "shop",
        "feature_set_hash": "ab" * 16,
        "features": FEATURES,
        "defaults": (0.0,) * len(FEATURES),
        "input_name": INPUT,
        "output_name": OUTPUT,
        "label": "commerce.purchases",
        "trained_at": 1_000_000,
        "rows_train": 100,
        "rows_validation": 50,
        "metrics": {"auc": 0.8},
        "parity": Parity(rows=50, max_abs=1e-7, label_flips=0),
    }
    return ModelManifest(**(defaults | fields))


def champion_event(raw: bytes, version: int = 1, occurred_at: int = 0, **fields: Any) -> ModelEvent:
    """The event by which `raw` became champion as `version`."""
    manifest = manifest_of(raw, **fields)
    return ModelEvent(
        kind="alias",
        model=manifest.model,
        version=version,
        digest=manifest.digest,
        manifest=manifest,
        occurred_at=occurred_at or version * 1_000_000,
        alias="champion",
        revision=version,
    )


def reparse(raw: bytes) -> Any:
    """The model as a protobuf message, to be damaged."""
    return onnx.load_model_from_string(raw)
