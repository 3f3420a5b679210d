"""From a fitted scikit-learn classifier to ONNX, and the proof that both say the same.

Converters go wrong without a word, so nothing leaves training without having been compared row by row.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType

from shared.adapters.onnx import Matrix, OnnxModel
from shared.contracts.models import Parity
from shared.kernel.errors import Reason, Rejected

INPUT_NAME = "features"
LABEL_NAME = "label"
OUTPUT_NAME = "probabilities"
PARITY_MAX_ABS = 1e-5

_OPSETS = {"": 18, "ai.onnx.ml": 3}
_GRAPH_NAME = "classifier"  # a name of its own would give the same model another digest each time
_BATCH_ROWS = 1024
_ALONE_ROWS = 256
_ERROR_CHARACTERS_MAX = 500


def to_onnx(classifier: Any, feature_count: int) -> bytes:
    """Converts a binary classifier: input `features` float32[N, F], outputs `label` and `probabilities` [N, 2].

    Raises Rejected when it cannot be converted.
    """
    try:
        graph = convert_sklearn(
            classifier,
            name=_GRAPH_NAME,
            initial_types=[(INPUT_NAME, FloatTensorType([None, feature_count]))],
            final_types=[(LABEL_NAME, Int64TensorType([None])), (OUTPUT_NAME, FloatTensorType([None, 2]))],
            target_opset=_OPSETS,
            # Without this every answer is a list of dictionaries, many times slower.
            options={id(classifier): {"zipmap": False}},
        )
    except Exception as error:  # converters raise many kinds, some with the whole model in the message
        words = " ".join(f"{type(error).__name__}: {error}".split())[:_ERROR_CHARACTERS_MAX]
        raise Rejected(f"the classifier cannot be converted to ONNX: {words}", Reason.MODEL) from None
    raw: bytes = graph.SerializeToString()
    return raw


def measure_parity(raw: bytes, rows: Matrix, expected: NDArray[np.float64], threshold: float) -> Parity:
    """Compares the graph's positive probabilities with `expected` on every row, in large batches and alone."""
    model = OnnxModel(raw, INPUT_NAME, OUTPUT_NAME)
    worst, flips = 0.0, 0
    for part, wanted in _batches(rows, expected):
        got = model.run(part)[:, 1].astype(np.float64)
        # NaN must count as the worst difference, not as none.
        difference = np.where(np.isfinite(got), np.abs(got - wanted), np.inf)
        worst = max(worst, float(difference.max()))
        flips += int(np.count_nonzero((got >= threshold) != (wanted >= threshold)))
    return Parity(rows=len(rows), max_abs=worst, label_flips=flips)


def _batches(rows: Matrix, expected: NDArray[np.float64]) -> Iterator[tuple[Matrix, NDArray[np.float64]]]:
    for start in range(0, len(rows), _BATCH_ROWS):
        yield rows[start : start + _BATCH_ROWS], expected[start : start + _BATCH_ROWS]
    for row in range(min(_ALONE_ROWS, len(rows))):
        yield rows[row : row + 1], expected[row : row + 1]


def require_parity(parity: Parity) -> None:
    """Raises Rejected with the figures when the graph differs from the estimator."""
    if parity.rows and parity.max_abs <= PARITY_MAX_ABS and parity.label_flips == 0:
        return
    raise Rejected(
        f"the ONNX graph does not agree with the trained estimator on {parity.rows} rows: largest difference "
        f"{parity.max_abs:.3g} (allowed {PARITY_MAX_ABS:g}), {parity.label_flips} label flips (allowed 0); "
        "the model was not registered",
        Reason.MODEL,
    )
