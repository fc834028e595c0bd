"""Files of old and new operator sets."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime
from tests.helpers.small_graphs import X, gradients, parse


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 18, 19, 20, 21, 22, 23, 24, 25])
def test_opsets(opset: int) -> None:
    """Files of old and new operator sets: what the rules write must be right in each."""
    model = parse(
        "g (float[N,2,6,6] x) => (float[N,3] y) { "
        "a = Conv <kernel_shape = [3,3], pads = [1,1,1,1]> (x, w) b = Relu(a) "
        "c = MaxPool <kernel_shape = [2,2], strides = [2,2]> (b) "
        "d = AveragePool <kernel_shape = [2,2], pads = [1,1,0,0], strides = [2,2]> (c) "
        "e = GlobalAveragePool(d) f = Flatten(e) g = Add(f, s) h = Gemm(g, v) y = Softmax <axis = 1> (h) }",
        opset,
    )
    rng = np.random.default_rng(0)
    weights = {"w": (3, 2, 3, 3), "s": (1, 3), "v": (3, 3)}
    for name, shape in weights.items():
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        )
    if opset < 8:
        model.ir_version = 3
        for name, shape in weights.items():
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    if opset == 7:
        model.graph.node[7].input.append("s")
    x = rng.standard_normal((2, 2, 6, 6)).astype(np.float32)
    feeds = {"x": x, "cotangent": np.array([[1, 0, 0], [0, 0, 1]], np.float32)}
    found = gradients(model, "y", ["x"], feeds)["grad/x"]
    run, v = OnnxRuntime(ir.to_proto(canonicalize(ir.from_proto(model)))), rng.standard_normal(x.shape)
    step = 1e-2
    ends = [run({"x": (x + sign * step * v).astype(np.float32)})["y"].astype(np.float64) for sign in (1, -1)]
    slope = float(np.vdot(feeds["cotangent"], ends[0] - ends[1]) / (2 * step))
    assert float(np.vdot(found, v)) == pytest.approx(slope, rel=0.05, abs=1e-4)


def test_opset_17_and_its_raised_self_agree() -> None:
    """The converter's operators differ, their gradients must not."""
    feeds = {"x": X.astype(np.float32), "cotangent": np.ones((2, 1), np.float32)}
    old = parse("g (float[2,3] x) => (float[2,1] y) { y = ReduceMean <axes = [1]> (x) }", 17)
    np.testing.assert_allclose(gradients(old, "y", ["x"], feeds)["grad/x"], np.full((2, 3), 1 / 3), rtol=1e-6)
