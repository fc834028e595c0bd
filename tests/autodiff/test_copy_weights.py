from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxcam
from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.models import classifier, floats, model


def quantised() -> onnx.ModelProto:
    """A convolution and a Gemm whose weights are stored as integers."""
    weights: dict[str, npt.NDArray[Any]] = {
        "w": np.arange(-18, 18, dtype=np.int8).reshape(4, 1, 3, 3),
        "s": np.array(0.1, np.float32),
        "v": floats(5, 4, seed=1),
    }
    text = """g (float[n, 1, 8, 8] x) => (float[n, 5] logits) {
        r = DequantizeLinear(w, s) a = Conv(x, r) b = Relu(a) p = GlobalAveragePool(b) f = Flatten(p)
        logits = Gemm<transB = 1>(f, v)
    }"""
    return model(text, weights)


def readers(proto: onnx.ModelProto, share_weights: bool) -> list[str]:
    """Return the initializers that nodes of both passes read."""
    plain = canonicalize(ir.from_proto(proto))
    both = add_gradients(plain, "logits", ["x"], share_weights=share_weights)
    names = {node.outputs[0].name for node in plain.graph}
    shared = []
    for name, value in both.graph.initializers.items():
        forward = {node.outputs[0].name in names for node, _ in value.uses()}
        shared += [name] if len(forward) == 2 else []
    return sorted(shared)


@pytest.mark.parametrize("proto", [classifier(), quantised()], ids=["plain", "quantised"])
def test_no_weight_is_read_by_both_passes(proto: onnx.ModelProto) -> None:
    assert readers(proto, share_weights=True) or proto.graph.initializer[0].name == "w"
    assert readers(proto, share_weights=False) == []


def test_a_dequantised_kernel_is_computed_twice() -> None:
    both = add_gradients(canonicalize(ir.from_proto(quantised())), "logits", ["x"], share_weights=False)
    assert sum(node.op_type == "DequantizeLinear" for node in both.graph) == 2


@pytest.mark.parametrize("proto", [classifier(), quantised()], ids=["plain", "quantised"])
def test_the_gradients_stay_what_they_are(proto: onnx.ModelProto) -> None:
    shape = [d.dim_value or 2 for d in proto.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": floats(*shape), "cotangent": floats(2, 5, seed=3)}
    results = []
    for share in (True, False):
        graph = onnxcam.differentiate(proto, "logits", ["x"], share_weights=share)
        onnx.checker.check_model(graph, full_check=True)
        session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        results.append(session.run(["grad/x"], feeds)[0])
    np.testing.assert_array_equal(*results)


def test_an_explainer_that_shares_nothing() -> None:
    x = floats(3, 3, 8, 8)
    shared, apart = (onnxcam.Explainer(classifier(), share_weights=share)(x) for share in (True, False))
    np.testing.assert_array_equal(shared.maps, apart.maps)
