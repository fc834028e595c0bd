"""Loops of an unknown number of steps: what a rule refuses, and a recurrent layer written out as one, against torch."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from onnxcam.autodiff.coverage import Coverage
from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.errors import UnsupportedError
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime, assert_close
from tests.helpers.models import floats, model

_SCAN = """g (float[steps, n, 3] x) => (float[n, 3] y) {
  start = ReduceMean <keepdims = 0> (x, zero)
  y, all = Scan <num_scan_inputs = 1, body = step (float[n, 3] h, float[n, 3] s) => (float[n, 3] h2, float[n, 3] r) {
    m = MatMul(h, w) a = Add(m, s) h2 = Tanh(a) r = Identity(h2)
  }> (start, x)
}"""


def _model(text: str = _SCAN) -> onnx.ModelProto:
    return model(text, {"w": floats(3, 3, seed=1) / 2, "zero": np.array([0])})


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_as_many_steps_as_the_input_has(steps: int) -> None:
    """Gradient and second derivative; the state that the loop begins with depends on the input too."""
    x, c, u = floats(steps, 2, 3, seed=2), floats(2, 3, seed=3), floats(steps, 2, 3, seed=4)
    once = canonicalize(add_gradients(canonicalize(load(_model()).ir), "y", ["x"]))
    assert "Scan" in {node.op_type for node in once.graph}
    twice = ir.to_proto(add_gradients(once, "grad/x", ["x"], order=2))
    onnx.checker.check_model(twice, full_check=True)
    found = OnnxRuntime(twice)({"x": x, "cotangent": c, "cotangent2": u})
    leaf, w = torch.tensor(x, dtype=torch.float64, requires_grad=True), torch.tensor(floats(3, 3, seed=1) / 2).double()
    h = leaf.mean(0)
    for s in leaf:
        h = torch.tanh(h @ w + s)
    (g,) = torch.autograd.grad((h * torch.tensor(c)).sum(), leaf, create_graph=True)
    (curved,) = torch.autograd.grad((g * torch.tensor(u)).sum(), leaf)
    assert_close(found["y"], h.detach().numpy(), 1e-5)
    assert_close(found["grad/x"], g.detach().numpy(), 1e-5)
    assert_close(found["grad2/x"], curved.numpy(), 1e-5)


def test_a_loop_that_draws_by_chance_is_refused() -> None:
    text = _SCAN.replace("a = Add(m, s)", "z = RandomNormalLike(s) a = Add(m, z)")
    with pytest.raises(UnsupportedError, match=r"Scan .*: its body draws by chance \(RandomNormalLike"):
        add_gradients(canonicalize(load(_model(text)).ir), "y", ["x"])


def test_slices_along_another_axis_are_refused() -> None:
    text = _SCAN.replace("num_scan_inputs = 1", "num_scan_inputs = 1, scan_input_directions = [1]")
    with pytest.raises(UnsupportedError, match="scan_input_directions other than 0 have no gradient rule; export"):
        add_gradients(canonicalize(load(_model(text)).ir), "y", ["x"])


def test_missing_rules_in_bodies_are_listed() -> None:
    text = _SCAN.replace("m = MatMul(h, w)", "t = Transpose(h) p = MatMul(t, h) d = Det(p) m = Mul(h, d)")
    canonical = canonicalize(load(_model(text)).ir)
    assert list(Coverage(canonical, "y").missing()) == ["Det"]
    with pytest.raises(UnsupportedError, match=r"1 operator\(s\) .*Det \(at"):
        add_gradients(canonical, "y", ["x"])
