"""Loops and branches that are fixed, written out, against onnxruntime's own."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.errors import UnsupportedError
from onnxcam.graph.canonical import canonicalize
from tests.autodiff.checks import OnnxRuntime
from tests.models import floats

_HEAD = '<ir_version: 8, opset_import: ["": 18]>\n'
_LOOP = """
main (float[2,3] x, int64 trips) => (float[2,3] y, float[T,2,3] all)
<int64 fixed = {4}, bool on = {1}> {
  y, all = Loop (COUNT, on, x) <body = step (int64 i, bool go, float[2,3] a)
    => (bool further, float[2,3] b, float[2,3] c) {
      half = Constant <value_float = 0.5> () further = Identity(go) number = CastLike(i, a)
      h = Mul(a, half) b = Add(h, number) c = Sin(b) }>
}
"""
_SCAN = """
main (float[3] x, float[3,5] s) => (float[3] y, float[3,5] all) {
  y, all = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], scan_output_directions = [1],
    body = step (float[3] a, float[3] row) => (float[3] b, float[3] c) { b = Mul(a, row) c = Tanh(b) }> (x, s)
}
"""
_IF = """
main (float[2,3] x) => (float[2,3] y) <bool which = {1}> {
  y = If (which) <then_branch = yes () => (float[2,3] p) { p = Exp(x) },
    else_branch = no () => (float[2,3] q) { q = Neg(x) }>
}
"""


def _parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(_HEAD + text)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [(_LOOP.replace("COUNT", "fixed"), {"x": (2, 3)}), (_SCAN, {"x": (3,), "s": (3, 5)}), (_IF, {"x": (2, 3)})],
    ids=["loop", "scan", "if"],
)
def test_the_same_numbers_and_right_gradients(text: str, shapes: dict[str, tuple[int, ...]]) -> None:
    model = _parsed(text)
    names = [value.name for value in model.graph.input]
    feeds = {n: floats(*shape, seed=i) for i, (n, shape) in enumerate(shapes.items())}
    if "trips" in names:
        feeds["trips"] = np.array(0, np.int64)
    canonical = canonicalize(ir.from_proto(model))
    assert {"Loop", "Scan", "If"}.isdisjoint(node.op_type for node in canonical.graph)
    forward = OnnxRuntime(model)(feeds)
    written = OnnxRuntime(ir.to_proto(canonical))(feeds)
    for of, wanted in forward.items():
        np.testing.assert_allclose(written[of], wanted, rtol=1e-6)
        cotangent = floats(*wanted.shape, seed=7)
        with_gradients = OnnxRuntime(ir.to_proto(add_gradients(canonical, of, ["x"])))
        gradient = with_gradients({**feeds, "cotangent": cotangent})["grad/x"]
        direction, step = floats(*shapes["x"], seed=8), 1e-2
        ends = [OnnxRuntime(model)({**feeds, "x": feeds["x"] + s * step * direction})[of] for s in (1, -1)]
        slope = float((cotangent * (ends[0] - ends[1])).sum() / (2 * step))
        assert float((gradient * direction).sum()) == pytest.approx(slope, rel=2e-3, abs=1e-3)


def test_an_open_number_of_steps_is_refused() -> None:
    model = _parsed(_LOOP.replace("COUNT", "trips"))
    canonical = canonicalize(ir.from_proto(model))
    with pytest.raises(UnsupportedError, match=r"Loop .*number of steps is only known while the graph runs"):
        add_gradients(canonical, "y", ["x"])


def test_too_many_steps_are_left() -> None:
    model = _parsed(_LOOP.replace("COUNT", "fixed"))
    fixed = next(weight for weight in model.graph.initializer if weight.name == "fixed")
    fixed.CopyFrom(numpy_helper.from_array(np.array(100_000), "fixed"))
    assert "Loop" in {node.op_type for node in canonicalize(ir.from_proto(model)).graph}
