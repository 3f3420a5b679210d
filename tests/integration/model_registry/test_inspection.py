"""What is let in: the check of an upload, in its real process with its real limits."""

import pickle
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from services.model_registry.adapters.inspection import ProcessInspector
from shared.contracts.models import ModelManifest
from shared.kernel.errors import Reason, Rejected
from tests.support.models import (
    INPUT,
    OPSETS,
    OUTPUT,
    linear_graph,
    linear_model,
    manifest_of,
    reparse,
    to_bytes,
)


@pytest.fixture
def inspector() -> ProcessInspector:
    return ProcessInspector(memory_mb_max=1024, seconds_max=60)


async def refusal(inspector: ProcessInspector, raw: bytes, manifest: ModelManifest | None = None) -> str:
    with pytest.raises(Rejected) as caught:
        await inspector.inspect(raw, manifest or manifest_of(raw))
    assert caught.value.reason == Reason.MODEL
    return caught.value.message


async def test_a_sound_model_is_let_in(inspector: ProcessInspector) -> None:
    raw = linear_model()

    await inspector.inspect(raw, manifest_of(raw))


class _Boom:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("a pickle was loaded",)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "it has no IR version"),
        (bytes(np.random.default_rng(1).bytes(4096)), "not an ONNX model"),
        (pickle.dumps(_Boom()), "not an ONNX model"),
        (linear_model()[:-20], "not an ONNX model"),
    ],
    ids=["empty", "random bytes", "pickle", "truncated"],
)
async def test_what_is_no_onnx_file_is_refused(inspector: ProcessInspector, raw: bytes, expected: str) -> None:
    assert expected in await refusal(inspector, raw)


async def test_external_data_is_refused(inspector: ProcessInspector) -> None:
    model = reparse(linear_model())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")

    assert "external data" in await refusal(inspector, model.SerializeToString())


async def test_control_flow_is_refused_unless_allowed(inspector: ProcessInspector) -> None:
    raw = to_bytes(_with_branch(linear_graph()))

    assert "uses If, which may run for ever" in await refusal(inspector, raw)
    allowing = ProcessInspector(memory_mb_max=1024, seconds_max=60, allow_control_flow=True)
    await allowing.inspect(raw, manifest_of(raw))


async def test_an_endless_loop_ends_with_its_time_even_when_control_flow_is_allowed() -> None:
    raw = to_bytes(_with_endless_loop(linear_graph()))
    hasty = ProcessInspector(memory_mb_max=1024, seconds_max=3, allow_control_flow=True)

    words = await refusal(hasty, raw)

    assert "not checked within 3 s" in words or "the check of the model died" in words


async def test_a_model_that_allocates_without_measure_is_refused(inspector: ProcessInspector) -> None:
    graph = linear_graph()
    graph.initializer.append(numpy_helper.from_array(np.array([1 << 32], dtype=np.int64), "much"))
    graph.node.insert(0, helper.make_node("ConstantOfShape", ["much"], ["zeros"]))
    graph.node.insert(1, helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0))
    graph.node.insert(2, helper.make_node("Add", [INPUT, "nothing"], ["moved"]))
    graph.node[3].input[0] = "moved"

    words = await refusal(inspector, to_bytes(graph))

    assert "ONNX Runtime cannot load the model" in words or "memory" in words or "Fail" in words


async def test_operators_of_other_domains_are_refused(inspector: ProcessInspector) -> None:
    graph = linear_graph()
    graph.node[1].domain = "com.microsoft"
    opsets = (*OPSETS, helper.make_opsetid("com.microsoft", 1))

    assert "domain 'com.microsoft'" in await refusal(inspector, to_bytes(graph, opsets))


async def test_functions_and_training_information_are_refused(inspector: ProcessInspector) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    function = helper.make_function("", "Mine", ["x"], ["y"], [node], list(OPSETS))
    trained = reparse(linear_model())
    trained.training_info.add()

    assert "functions of its own" in await refusal(inspector, to_bytes(linear_graph(), functions=[function]))
    assert "training information" in await refusal(inspector, trained.SerializeToString())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input_name": "x"}, f"has the inputs ['{INPUT}']"),
        ({"output_name": "y"}, f"has the outputs ['{OUTPUT}']"),
        ({"features": ("a", "b"), "defaults": (0.0, 0.0)}, "shape [None, 3]"),
    ],
)
async def test_a_manifest_that_names_other_ports_is_refused(
    inspector: ProcessInspector, fields: dict[str, Any], expected: str
) -> None:
    raw = linear_model()

    assert expected in await refusal(inspector, raw, manifest_of(raw, **fields))


async def test_an_output_that_is_no_probability_is_refused(inspector: ProcessInspector) -> None:
    graph = linear_graph(bias=3.0)
    graph.node[1].op_type = "Identity"

    assert "not a probability" in await refusal(inspector, to_bytes(graph))


async def test_a_model_whose_rows_influence_each_other_is_refused(inspector: ProcessInspector) -> None:
    graph = linear_graph()
    graph.node.insert(0, helper.make_node("ReduceSum", [INPUT], ["total"], keepdims=1, noop_with_empty_axes=0))
    graph.node.insert(1, helper.make_node("Add", [INPUT, "total"], ["moved"]))
    graph.node[2].input[0] = "moved"
    raw = to_bytes(graph)

    words = await refusal(inspector, raw, manifest_of(raw, defaults=(1.0, 1.0, 1.0)))

    assert "rows must not influence each other" in words


def _with_branch(graph: Any) -> Any:
    """Puts the final Concat behind an If with equal branches."""
    same = helper.make_graph(
        [helper.make_node("Concat", ["q", "p"], ["joined"], axis=1)],
        "branch",
        [],
        [helper.make_tensor_value_info("joined", TensorProto.FLOAT, [None, 2])],
    )
    graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    graph.node.pop()
    graph.node.append(helper.make_node("If", ["always"], [OUTPUT], then_branch=same, else_branch=same))
    return graph


def _with_endless_loop(graph: Any) -> Any:
    """Adds a Loop that carries a value for ever before the answer is given."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["again"], ["go_on"]), helper.make_node("Identity", ["carried"], ["kept"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept", TensorProto.FLOAT, None),
        ],
    )
    graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    graph.node.insert(0, helper.make_node("Loop", ["", "always", INPUT], ["looped"], body=body))
    graph.node[1].input[0] = "looped"
    return graph
