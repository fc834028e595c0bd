"""What onnxruntime's optimiser fuses, taken apart: the same results as the fused kernels, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper

from onnxcam.errors import ModelError, UnsupportedError
from onnxcam.graph.analysis.quantization import MICROSOFT
from onnxcam.graph.io.serialize import to_proto
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.graph.passes.expansions import registry
from onnxcam.graph.passes.expansions.node_writer import NodeWriter
from tests.helpers.checks import Arrays, OnnxRuntime, assert_close, cotangent_like, differentiate
from tests.helpers.fused_cases import CASES, Fused, fed, fixed
from tests.helpers.sample import Array

_FORWARD = 1e-6
_GRADIENT = 1e-5
_STEP = 1e-2
_SLOPE = 5e-4


def original(case: Fused, feeds: Arrays) -> Array:
    """Return what the fused operator gives."""
    if case.kernel:
        return OnnxRuntime(case.model)(feeds)[case.score]
    result: Array = _in_torch(case, _tensors(case, feeds)).numpy()
    return result


def _tensors(case: Fused, feeds: Arrays, dtype: Any = None) -> dict[str, Any]:
    given = {f"x{i}": feeds.get(f"x{i}", a) for i, a in enumerate(case.inputs) if a is not None}
    return {name: torch.tensor(array, dtype=dtype) for name, array in given.items()}


def _in_torch(case: Fused, tensors: dict[str, Any]) -> Any:
    assert case.torch is not None, "needs a kernel or torch"
    return case.torch(*tensors.values())


def check(case: Fused) -> None:
    """Compare the expansion with the fused operator, and its gradient with torch's or with the operator's differences.

    Raises:
        AssertionError: they differ.
    """
    feeds = case.feeds
    wanted = original(case, feeds)
    expanded = canonicalize(ir.from_proto(case.model))
    assert not any(node.domain == MICROSOFT for node in expanded.graph), "still fused"
    assert expanded.graph.outputs[0].shape is not None, "the shape is not known"
    assert_close(OnnxRuntime(to_proto(expanded))(feeds)[case.score], wanted, _FORWARD)
    if not case.differentiable:
        return
    cotangent = cotangent_like(wanted)
    found = OnnxRuntime(differentiate(case.model, case.score, list(feeds)))(feeds | {"cotangent": cotangent})
    gradients = {name: found[f"grad/{name}"].astype(np.float64) for name in feeds}
    if case.torch is not None:
        tensors = _tensors(case, feeds, torch.float64)
        leaves = [tensors[name].requires_grad_() for name in feeds]
        _in_torch(case, tensors).backward(torch.tensor(cotangent, dtype=torch.float64))
        for gradient, leaf in zip(gradients.values(), leaves, strict=True):
            assert_close(gradient, leaf.grad.numpy(), _GRADIENT)
    else:
        _check_slope(case, gradients, cotangent)


def _check_slope(case: Fused, gradients: Arrays, cotangent: Array) -> None:
    feeds, rng = case.feeds, np.random.default_rng(3)
    direction = {name: rng.standard_normal(a.shape).astype(np.float32) for name, a in feeds.items()}
    ends = [original(case, {n: feeds[n] + sign * _STEP * v for n, v in direction.items()}) for sign in (1, -1)]
    slope = float(np.vdot(cotangent.astype(np.float64), (ends[0].astype(np.float64) - ends[1]) / (2 * _STEP)))
    found = sum(float(np.vdot(gradients[n], v)) for n, v in direction.items())
    size = sum(float(np.linalg.norm(gradients[n]) * np.linalg.norm(v)) for n, v in direction.items())
    assert abs(found - slope) <= _SLOPE * size, f"{found} against slope {slope}"


def test_every_expansion_is_here() -> None:
    assert set(registry.expansions()) == {case.op for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_expansion(case: Fused) -> None:
    check(case)


@pytest.mark.parametrize("case", {case.op: case for case in CASES}.values(), ids=lambda c: c.name)
def test_a_scaled_expansion_fails(case: Fused, monkeypatch: pytest.MonkeyPatch) -> None:
    right = registry.expansions()[case.op]

    def wrong(op: NodeWriter, node: ir.Node) -> Sequence[ir.Value | None]:
        return [None if value is None else op.Mul(value, 1.001) for value in right(op, node)]

    monkeypatch.setitem(registry._EXPANSIONS, case.op, wrong)
    registry.expansions.cache_clear()
    with pytest.raises(AssertionError):
        check(case)
    monkeypatch.undo()
    registry.expansions.cache_clear()


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (Fused("Attention", (fed(2, 5, 8), fixed(8, 24), None, None, fixed(2, 2, 2, 3, 4)), {"num_heads": 2}), "past"),
        (Fused("Attention", (fed(2, 5, 8), fixed(8, 24)), {"num_heads": 2, "do_rotary": 1}), "rotary"),
        (
            Fused("Attention", (fed(2, 5, 8), fixed(8, 24), None, np.zeros(4, np.int32)), {"num_heads": 2}),
            "start and end",
        ),
        (Fused("BiasSoftmax", (fed(2, 3, 4), fixed(4)), {"axis": 1}), "several axes"),
        (Fused("FusedConv", (fed(1, 1, 4, 4), fixed(1, 1, 1, 1)), {"activation": "Swirl"}), "activation Swirl"),
        (
            Fused("Attention", (fed(2, 5, 8), fixed(8, 24)), {"num_heads": 2}, ("y", "present"), score="present"),
            "output 'present'",
        ),
    ],
    ids=lambda v: v.op if isinstance(v, Fused) else v,
)
def test_what_is_refused(case: Fused, why: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{why}.* not supported"):
        canonicalize(ir.from_proto(case.model))


def test_the_layout_of_one_machine_is_refused() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], domain="com.microsoft.nchwc")
    shape = [1, 8, 4, 4]
    graph = helper.make_graph(
        [node],
        "blocked",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(fixed(8, 8, 1, 1), "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft.nchwc", 1)]
    with pytest.raises(ModelError, match="ORT_ENABLE_EXTENDED"):
        canonicalize(ir.from_proto(helper.make_model(graph, opset_imports=opsets)))
