"""The throw-away process that checks one uploaded model: reads it from standard input, answers one line of JSON.

Input: length of the expectation (u32, big-endian), the expectation (JSON), the model file. The limits are set before
the file is touched. The order matters: what is cheap and safe comes before what runs foreign graphs.
"""

import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_CONTROL_FLOW = frozenset({"Loop", "Scan", "If", "SequenceMap"})
_FLOAT = 1
_ALONE_MAX_ABS = 1e-6
_EXTERNAL = 1
_REASON_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the manifest says the file is, and the limits of the check."""

    input_name: str
    output_name: str
    features: int
    defaults: tuple[float, ...]
    allow_control_flow: bool
    memory_bytes_max: int
    cpu_s_max: int


class Verdict(msgspec.Struct):
    """The answer. `reason` is for the person who uploaded the file."""

    accepted: bool
    reason: str = ""


class RefusedError(Exception):
    """The file may not be served, because."""


def main() -> None:
    """Reads, limits itself, checks, answers."""
    stdin = sys.stdin.buffer
    expectation = msgspec.json.decode(stdin.read(int.from_bytes(stdin.read(4), "big")), type=Expectation)
    raw = stdin.read()
    for kind, most in (
        (resource.RLIMIT_AS, expectation.memory_bytes_max),
        (resource.RLIMIT_CPU, expectation.cpu_s_max),
    ):
        resource.setrlimit(kind, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    verdict = check(raw, expectation)
    sys.stdout.buffer.write(msgspec.json.encode(verdict))


def check(raw: bytes, expectation: Expectation) -> Verdict:
    """Returns the verdict; every kind of trouble with the file is a refusal with its reason."""
    try:
        model = _parse(raw)
        _check_structure(model, expectation)
        _check_ports(model.graph, expectation)
        _check_run(raw, expectation)
    except RefusedError as refusal:
        return Verdict(False, str(refusal)[:_REASON_CHARACTERS_MAX])
    except MemoryError:
        return Verdict(False, f"the check ran out of its {expectation.memory_bytes_max >> 20} MiB of memory")
    except Exception as error:  # checkers and runtimes raise many kinds; the file is to blame in all of them
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return Verdict(False, f"the model does not pass the check: {words}"[:_REASON_CHARACTERS_MAX])
    return Verdict(True)


def _parse(raw: bytes) -> Any:
    import onnx  # after the limits are set
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    model = onnx.ModelProto()
    try:
        model.ParseFromString(raw)
    except DecodeError:
        raise RefusedError(
            f"the file of {len(raw)} bytes is not an ONNX model: it is not a whole protobuf message"
        ) from None
    if not model.ir_version or not model.opset_import or not model.graph.node:
        raise RefusedError("the file is not an ONNX model: it has no IR version, no operator sets or no nodes")
    return model


def _check_structure(model: Any, expectation: Expectation) -> None:
    domains = {entry.domain for entry in model.opset_import} | {node.domain for node in _nodes(model.graph)}
    if strange := sorted(domains - _DOMAINS):
        raise RefusedError(f"operators of domain {strange[0]!r} are not allowed; allowed are ai.onnx and ai.onnx.ml")
    if len(model.functions):
        raise RefusedError(f"the model defines {len(model.functions)} functions of its own; inline them before export")
    if len(model.training_info):
        raise RefusedError("the model carries training information; export it for inference only")
    if any(tensor.data_location == _EXTERNAL or tensor.external_data for tensor in _tensors(model.graph)):
        raise RefusedError("the model refers to external data files; embed all weights in the file")
    found = sorted({node.op_type for node in _nodes(model.graph)} & _CONTROL_FLOW)
    if found and not expectation.allow_control_flow:
        raise RefusedError(
            f"the model uses {', '.join(found)}, which may run for ever; export a graph without control flow"
        )
    import onnx.checker

    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise RefusedError(f"the model breaks the ONNX standard: {' '.join(str(error).split())}") from None


def _subgraphs(graph: Any) -> Iterator[Any]:
    """Yields the graph and every graph inside an attribute, at any depth."""
    waiting = [graph]
    while waiting:
        present = waiting.pop()
        yield present
        for node in present.node:
            for attribute in node.attribute:
                waiting.extend(attribute.graphs)
                if attribute.HasField("g"):
                    waiting.append(attribute.g)


def _nodes(graph: Any) -> Iterator[Any]:
    return (node for sub in _subgraphs(graph) for node in sub.node)


def _tensors(graph: Any) -> Iterator[Any]:
    for sub in _subgraphs(graph):
        yield from sub.initializer
        for sparse in sub.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in sub.node:
            for attribute in node.attribute:
                yield attribute.t
                yield from attribute.tensors
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)


def _check_ports(graph: Any, expectation: Expectation) -> None:
    given = {tensor.name for tensor in graph.initializer}
    inputs = [port for port in graph.input if port.name not in given]
    names = [port.name for port in inputs]
    if names != [expectation.input_name]:
        raise RefusedError(f"the model has the inputs {names}; the manifest says exactly [{expectation.input_name!r}]")
    kind = inputs[0].type.tensor_type
    shape = [axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim]
    if kind.elem_type != _FLOAT or shape != [None, expectation.features]:
        raise RefusedError(
            f"input {expectation.input_name!r} has element type {kind.elem_type} and shape {shape}; "
            f"the manifest needs float32 [any, {expectation.features}]"
        )
    outputs = [port.name for port in graph.output]
    if expectation.output_name not in outputs:
        raise RefusedError(f"the model has the outputs {outputs}; the manifest names {expectation.output_name!r}")


def _check_run(raw: bytes, expectation: Expectation) -> None:
    import numpy as np

    from shared.adapters.onnx import OnnxModel
    from shared.kernel.errors import Rejected

    try:
        model = OnnxModel(raw, expectation.input_name, expectation.output_name)
    except Rejected as error:
        raise RefusedError(error.message) from None
    zeros, defaults = np.zeros(expectation.features), np.array(expectation.defaults)
    rows = np.stack([zeros, defaults, zeros]).astype(np.float32)
    together = model.run(rows)
    if together.dtype != np.float32 or together.shape != (3, 2):
        raise RefusedError(
            f"output {expectation.output_name!r} of 3 rows has type {together.dtype} and shape {list(together.shape)}; "
            "expected float32 [3, 2], the probabilities of both classes"
        )
    if not np.isfinite(together).all() or together.min() < 0 or together.max() > 1:
        raise RefusedError(
            f"output {expectation.output_name!r} is not a probability for every row of zeros and defaults"
        )
    alone = np.concatenate([model.run(rows[i : i + 1]) for i in range(3)])
    if not np.allclose(together, alone, rtol=0, atol=_ALONE_MAX_ABS):
        raise RefusedError(
            "the model answers a row differently alone and in a batch; rows must not influence each other"
        )


if __name__ == "__main__":
    main()
