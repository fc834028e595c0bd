"""Loops and branches that are fixed, written out, against onnxruntime's own."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.errors import UnsupportedError
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime
from tests.helpers.models import floats

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
# What a step holds: a branch that the step's number chooses, one that the numbers choose, a loop, and a list of steps.
_CHOSEN = """one = Constant <value_int = 1> () first = Equal(i, one)
  o = If (first) <then_branch = yes () => (float[2,3] p) { p = Tanh(a) }, else_branch = no () => (float[2,3] q) {
    q = Mul(a, x) }>"""
_COMPUTED = """sum = ReduceSum <keepdims = 0> (a) zero = Constant <value_float = 0.0> () above = Greater(sum, zero)
  o = If (above) <then_branch = yes () => (float[2,3] p) { p = Tanh(a) }, else_branch = no () => (float[2,3] q) {
    r = Mul(a, x) q = Sin(r) }>"""
_AGAIN = """o = Loop (two, on, a) <body = again (int64 j, bool gone, float[2,3] d) => (bool go_on, float[2,3] e) {
    go_on = Identity(gone) both = Add(i, j) number = CastLike(both, d) t = Tanh(d) h = Mul(t, x)
    e = Add(h, number) }>"""
_ROWS = """o, unused = Scan <num_scan_inputs = 1, body = row (float[2,3] d, float[3] one_row)
    => (float[2,3] e, float[3] f) { g = Mul(d, one_row) e = Tanh(g) f = Neg(one_row) }> (a, x)"""
_NESTED = """
main (float[2,3] x) => (float[2,3] y) <int64 two = {2}, int64 three = {3}, bool on = {1}> {
  y = Loop (three, on, x) <body = step (int64 i, bool go, float[2,3] a) => (bool further, float[2,3] o) {
    further = Identity(go) BODY }>
}
"""
_LOOP_IN_IF = """
main (float[2,3] x) => (float[2,3] y) <int64 two = {2}, bool on = {1}> {
  sum = ReduceSum <keepdims = 0> (x) zero = Constant <value_float = 0.0> () above = Greater(sum, zero)
  y = If (above) <then_branch = yes () => (float[2,3] p) {
      p = Loop (two, on, x) <body = step (int64 i, bool go, float[2,3] a) => (bool further, float[2,3] b) {
        further = Identity(go) half = Constant <value_float = 0.5> () h = Mul(a, half) b = Sin(h) }> },
    else_branch = no () => (float[2,3] q) { q = Neg(x) }>
}
"""
_IF_IN_IF = """
main (float[2,3] x) => (float[2,3] y) <bool which = {1}, bool other = {0}> {
  y = If (which) <then_branch = yes () => (float[2,3] p) {
      e = Exp(x) p = If (other) <then_branch = a () => (float[2,3] r) { r = Neg(e) },
        else_branch = b () => (float[2,3] s) { s = Tanh(e) }> },
    else_branch = no () => (float[2,3] q) { q = Neg(x) }>
}
"""


def _parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(_HEAD + text)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        (_LOOP.replace("COUNT", "fixed"), {"x": (2, 3)}),
        (_SCAN, {"x": (3,), "s": (3, 5)}),
        (_IF, {"x": (2, 3)}),
        (_NESTED.replace("BODY", _CHOSEN), {"x": (2, 3)}),
        (_NESTED.replace("BODY", _COMPUTED), {"x": (2, 3)}),
        (_NESTED.replace("BODY", _AGAIN), {"x": (2, 3)}),
        (_NESTED.replace("BODY", _ROWS), {"x": (2, 3)}),
        (_IF_IN_IF, {"x": (2, 3)}),
        (_LOOP_IN_IF, {"x": (2, 3)}),
    ],
    ids=[
        "loop",
        "scan",
        "if",
        "if in loop",
        "computed if in loop",
        "loop in loop",
        "scan in loop",
        "if in if",
        "loop in if",
    ],
)
def test_the_same_numbers_and_right_gradients(text: str, shapes: dict[str, tuple[int, ...]]) -> None:
    model = _parsed(text)
    names = [value.name for value in model.graph.input]
    feeds = {n: floats(*shape, seed=i) for i, (n, shape) in enumerate(shapes.items())}
    if "trips" in names:
        feeds["trips"] = np.array(0, np.int64)
    canonical = canonicalize(ir.from_proto(model))
    kept = {"If"} if "above" in text else set()
    assert {"Loop", "Scan", "If"} & {node.op_type for node in canonical.graph.all_nodes()} == kept
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


def test_loops_that_multiply_to_too_many_steps_are_left_as_they_are() -> None:
    model = _parsed(_NESTED.replace("BODY", _AGAIN))
    for weight in model.graph.initializer:
        if weight.name in ("two", "three"):
            weight.CopyFrom(numpy_helper.from_array(np.array(200), weight.name))
    canonical = canonicalize(ir.from_proto(model))
    assert [node.op_type for node in canonical.graph] == ["Loop"]
    with pytest.raises(UnsupportedError, match="more than 20000 nodes"):
        add_gradients(canonical, "y", ["x"])


def test_too_many_steps_are_left() -> None:
    model = _parsed(_LOOP.replace("COUNT", "fixed"))
    fixed = next(weight for weight in model.graph.initializer if weight.name == "fixed")
    fixed.CopyFrom(numpy_helper.from_array(np.array(100_000), "fixed"))
    assert "Loop" in {node.op_type for node in canonicalize(ir.from_proto(model)).graph}
