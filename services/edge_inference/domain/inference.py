"""Open Inference Protocol v2: requests to arrays, arrays to answers. Pure; no rounding but to float32, once."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contracts.models import ModelEvent, ModelManifest
from shared.kernel.errors import Rejected

Matrix = NDArray[np.float32]

_KINDS: dict[str, tuple[type, Any]] = {
    "BOOL": (bool, np.bool_),
    "UINT8": (int, np.uint8),
    "UINT16": (int, np.uint16),
    "UINT32": (int, np.uint32),
    "UINT64": (int, np.uint64),
    "INT8": (int, np.int8),
    "INT16": (int, np.int16),
    "INT32": (int, np.int32),
    "INT64": (int, np.int64),
    "FP16": (float, np.float16),
    "FP32": (float, np.float32),
    "FP64": (float, np.float64),
}
_FLAT: dict[type, Any] = {kind: msgspec.json.Decoder(list[kind]) for kind in (bool, int, float)}  # type: ignore[valid-type]
_NESTED: dict[type, Any] = {kind: msgspec.json.Decoder(list[list[kind]]) for kind in (bool, int, float)}  # type: ignore[valid-type]


class InferInput(msgspec.Struct, frozen=True):
    """One input tensor; `data` is a flat or nested row-major array."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: msgspec.Raw
    parameters: dict[str, Any] | None = None


class WantedOutput(msgspec.Struct, frozen=True):
    """An output the client asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v2/models/{name}/infer`."""

    inputs: tuple[InferInput, ...]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: tuple[WantedOutput, ...] | None = None


class OutputTensor(msgspec.Struct, frozen=True):
    """One output tensor, flat and row-major."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[float]


class InferResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer. `parameters` tell the digest and alias that answered."""

    model_name: str
    model_version: str
    outputs: tuple[OutputTensor, ...]
    parameters: dict[str, str]
    id: str | None = None


_request_decoder = msgspec.json.Decoder(InferRequest)


def parse_request(body: bytes) -> InferRequest:
    """Reads the body. Raises Rejected with the place of what is wrong."""
    try:
        return _request_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"the body is not an inference request: {error}") from None


def rows_of(request: InferRequest, manifest: ModelManifest, rows_max: int) -> Matrix:
    """Returns the request's one input as float32[N, F]. Raises Rejected when it is not what the model takes."""
    name, width = manifest.input_name, len(manifest.features)
    if len(request.inputs) != 1 or request.inputs[0].name != name:
        found = [given.name for given in request.inputs]
        raise Rejected(f"model {manifest.model} takes exactly the input {name!r}, found {found}")
    given = request.inputs[0]
    if len(given.shape) != 2 or given.shape[1] != width or given.shape[0] < 1:
        raise Rejected(f"input {name!r} has shape {list(given.shape)}, expected [rows, {width}]")
    if given.shape[0] > rows_max:
        raise Rejected(f"input {name!r} has {given.shape[0]} rows, at most {rows_max} are answered at once")
    _check_outputs(request, manifest)
    flat = _elements(given)
    if flat.size != given.shape[0] * width:
        raise Rejected(
            f"input {name!r} of shape {list(given.shape)} needs {given.shape[0] * width} elements, found {flat.size}"
        )
    with np.errstate(over="ignore"):
        rows: Matrix = flat.astype(np.float32, copy=False).reshape(given.shape)
    if not np.isfinite(rows).all():
        raise Rejected(f"input {name!r} has an element that is not a finite float32")
    return rows


def _check_outputs(request: InferRequest, manifest: ModelManifest) -> None:
    unknown = [wanted.name for wanted in request.outputs or () if wanted.name != manifest.output_name]
    if unknown:
        raise Rejected(f"model {manifest.model} has no output {unknown[0]!r}; it has {manifest.output_name!r}")


def _elements(given: InferInput) -> NDArray[Any]:
    if given.datatype not in _KINDS:
        raise Rejected(
            f"input {given.name!r} has datatype {given.datatype!r}; accepted are {', '.join(_KINDS)}, best FP32"
        )
    kind, dtype = _KINDS[given.datatype]
    try:
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
            return np.array(_decode(given.data, kind), dtype=dtype)
    except (msgspec.DecodeError, OverflowError, ValueError) as error:
        raise Rejected(
            f"the data of input {given.name!r} is not a flat or nested array of {given.datatype}: {error}"
        ) from None


def _decode(data: msgspec.Raw, kind: type) -> Sequence[Any]:
    raw = bytes(data)
    if raw.lstrip()[1:].lstrip()[:1] != b"[":
        flat: list[Any] = _FLAT[kind].decode(raw)
        return flat
    rows = _NESTED[kind].decode(raw)
    if len({len(row) for row in rows}) > 1:
        raise ValueError("its rows have different lengths")
    return [element for row in rows for element in row]


def answer(event: ModelEvent, probabilities: Matrix, id_: str | None) -> InferResponse:
    """Builds the answer from the probabilities float32[N, 2]."""
    tensor = OutputTensor(
        event.manifest.output_name, tuple(probabilities.shape), "FP32", probabilities.ravel().tolist()
    )
    return InferResponse(
        event.model, str(event.version), (tensor,), {"digest": event.digest, "alias": event.alias}, id_
    )


def metadata(event: ModelEvent) -> dict[str, Any]:
    """The model's description in the protocol's words, with the manifest's facts below `parameters`."""
    manifest = event.manifest
    return {
        "name": event.model,
        "versions": [str(event.version)],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": manifest.input_name, "datatype": "FP32", "shape": [-1, len(manifest.features)]}],
        "outputs": [{"name": manifest.output_name, "datatype": "FP32", "shape": [-1, 2]}],
        "parameters": {
            "digest": event.digest,
            "alias": event.alias,
            "revision": event.revision,
            "features": list(manifest.features),
            "feature_set": manifest.feature_set,
            "feature_set_hash": manifest.feature_set_hash,
            "threshold": manifest.threshold,
        },
    }


def is_probability(value: float) -> bool:
    """Tells whether a model's answer may be given to a client."""
    return math.isfinite(value) and 0.0 <= value <= 1.0
