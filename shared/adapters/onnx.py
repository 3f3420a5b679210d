"""ONNX Runtime: one session per model version, one thread, loaded from bytes.

One thread per session, without spinning: single rows do not get faster with more, and processes scale instead.
"""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shared.kernel.errors import Reason, Rejected

Matrix = NDArray[np.float32]

__all__ = ["Matrix", "OnnxModel"]

_SPINNING = "session.intra_op.allow_spinning"
_ERROR_CHARACTERS_MAX = 300


def session_options() -> Any:
    """Returns the options every Freshet process loads models with; the registry's check uses the same."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry(_SPINNING, "0")
    options.log_severity_level = 3
    return options


class OnnxModel:
    """A model with one input float32[N, F] and a used output float32[N, C]. Safe to run from several threads."""

    def __init__(self, raw: bytes, input_name: str, output_name: str) -> None:
        """Loads and warms up. Raises Rejected when the runtime cannot load the model or it lacks these names."""
        try:
            self._session = onnxruntime.InferenceSession(raw, session_options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises many kinds; all mean that this model cannot run
            raise Rejected(f"ONNX Runtime cannot load the model: {_brief(error)}", Reason.MODEL) from error
        inputs = {port.name: port for port in self._session.get_inputs()}
        outputs = {port.name: port for port in self._session.get_outputs()}
        if input_name not in inputs or output_name not in outputs:
            raise Rejected(
                f"the model has inputs {sorted(inputs)} and outputs {sorted(outputs)}; "
                f"expected input {input_name!r} and output {output_name!r}",
                Reason.MODEL,
            )
        self.input_name = input_name
        self.output_name = output_name
        self.feature_count = int(inputs[input_name].shape[-1])
        self._wanted = [output_name]
        self._feed = self._session.run
        self.run(np.zeros((1, self.feature_count), dtype=np.float32))

    def run(self, rows: Matrix) -> Matrix:
        """Returns the output float32[N, C] for `rows` float32[N, F], row by row independent."""
        result: Matrix = self._feed(self._wanted, {self.input_name: rows})[0]
        return result

    def scores(self, rows: Matrix) -> list[float]:
        """Returns the positive class's probability of each row: the last column of the output."""
        result: list[float] = self.run(rows)[:, -1].tolist()
        return result


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:_ERROR_CHARACTERS_MAX]
