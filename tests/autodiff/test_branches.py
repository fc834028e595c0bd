"""Branches that are chosen while the graph runs: their gradients against central differences, in each branch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import Table, gradient_table
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.batch import mixes_samples
from onnxcam.graph.analysis.layers import candidates
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime
from tests.helpers.models import floats, model
from tests.helpers.sample import Array
from tests.helpers.scaling import scaled

_BOTH = """main (float[n,3] x, bool which) => (float[n,3] y) {
  a = Exp(x)
  b = Sin(x)
  y = If (which) <
    then_branch = yes () => (float[n,3] p) { two = Constant <value_float = 2.0> () h = Mul(a, two) p = Mul(h, b) },
    else_branch = no () => (float[n,3] q) { h = Mul(a, a) q = Neg(h) }>
}"""
# The condition is computed from the very values that are differentiated.
_COMPUTED = """main (float[n,3] x) => (float[n,3] y) {
  s = ReduceSum <keepdims = 0> (x) zero = Constant <value_float = 0.0> () which = Greater(s, zero)
  a = Exp(x)
  b = Mul(x, x)
  y = If (which) <
    then_branch = yes () => (float[n,3] p) { p = Mul(a, b) },
    else_branch = no () => (float[n,3] q) { h = Softmax(a) q = Mul(h, b) }>
}"""
_NESTED = """main (float[n,3] x, bool which, bool inner) => (float[n,3] y) {
  a = Exp(x)
  y = If (which) <
    then_branch = yes () => (float[n,3] p) {
      h = Sin(a)
      r = If (inner) <
        then_branch = deep () => (float[n,3] u) { t = Mul(h, x) u = Mul(t, w) },
        else_branch = deeper () => (float[n,3] v) { v = Mul(a, h) }>
      p = Mul(r, h) },
    else_branch = no () => (float[n,3] q) { q = Tanh(a) }>
}"""
_DIRECT = """main (float[n,3] x, bool which) => (float[n,3] y) {
  a = Exp(x)
  b = Mul(a, x)
  y = If (which) <
    then_branch = yes () => (float[n,3] a) { },
    else_branch = no () => (float[n,3] b) { }>
}"""
_TWO_RESULTS = """main (float[n,3] x, bool which) => (float[n,3] y) {
  a = Exp(x)
  r, s = If (which) <
    then_branch = yes () => (float[n,3] p, float[m] p2) { p = Sin(a) p2 = ReduceMax <keepdims = 0> (a, axis) },
    else_branch = no () => (float[n,3] q, float[m] q2) { q = Identity(x) q2 = Identity(bias) }>
  total = ReduceSum <keepdims = 0> (s)
  y = Mul(r, total)
}"""
(_RULE,) = gradient_table()["", "If"]
# What both branches of the first case read; after it comes a weight, then what only one of them reads.
_TOO_LONG = {"a": scaled(_RULE, 1), "b": scaled(_RULE, 3)}
_CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "both": (_BOTH, ("which",)),
    "computed": (_COMPUTED, ()),
    "nested": (_NESTED, ("which", "inner")),
    "direct": (_DIRECT, ("which",)),
    "two results": (_TWO_RESULTS, ("which",)),
}


def _model(text: str) -> onnx.ModelProto:
    weights = {"w": floats(3, seed=5), "axis": np.array([1]), "bias": floats(4, seed=6)}
    used = {name: array for name, array in weights.items() if f"{name})" in text}
    return model(text, used)


def _runnable(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model as onnxruntime takes it: with an Identity before each outer value that a branch returns."""
    found: onnx.ModelProto = ir.to_proto(load(proto).ir)
    return found


def _slope_error(text: str, feeds: Mapping[str, Array], table: Table | None = None) -> float:
    """Return by how much the slope along a random direction is off, relative."""
    proto = _model(text)
    run = OnnxRuntime(_runnable(proto))
    cotangent, direction, step = floats(2, 3, seed=7), floats(2, 3, seed=8), 1e-3
    ends = [run({**feeds, "x": feeds["x"] + np.float32(s * step) * direction})["y"].astype(float) for s in (1, -1)]
    slope = float((cotangent * (ends[0] - ends[1])).sum() / (2 * step))
    proto = ir.to_proto(add_gradients(canonicalize(load(proto).ir), "y", ["x"], table=table))
    onnx.checker.check_model(proto, full_check=True)
    found = OnnxRuntime(proto)({**feeds, "cotangent": cotangent})
    np.testing.assert_allclose(found["y"], run(feeds)["y"], rtol=1e-6)
    return abs(float((found["grad/x"] * direction).sum()) - slope) / abs(slope)


def _feeds(flags: tuple[str, ...], number: int) -> dict[str, Array]:
    x = np.abs(floats(2, 3, seed=1)) * (1 if number % 2 else -1) / 2
    return {"x": x, **{flag: np.array(bool(number >> i & 1)) for i, flag in enumerate(flags)}}


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("name", _CASES)
def test_each_branch_against_differences(name: str, number: int) -> None:
    text, flags = _CASES[name]
    assert _slope_error(text, _feeds(flags, number)) < 5e-4


@pytest.mark.parametrize(("number", "value"), [(0, "a"), (1, "a"), (1, "b")])
def test_a_gradient_that_is_a_thousandth_too_long_fails(number: int, value: str) -> None:
    text, flags = _CASES["both"]
    exact = _exact(_feeds(flags, number))
    assert _found(text, _feeds(flags, number), None) == pytest.approx(exact, rel=1e-5)
    assert _found(text, _feeds(flags, number), _TOO_LONG[value]) != pytest.approx(exact, rel=1e-4)


def _exact(feeds: Mapping[str, Array]) -> float:
    x = feeds["x"].astype(np.float64)
    a = np.exp(x)
    slope = 2 * a * (np.sin(x) + np.cos(x)) if feeds["which"] else -2 * a * a
    return float(slope.sum())


def _found(text: str, feeds: Mapping[str, Array], table: Table | None) -> float:
    proto = ir.to_proto(add_gradients(canonicalize(load(_model(text)).ir), "y", ["x"], table=table))
    return float(OnnxRuntime(proto)({**feeds, "cotangent": np.ones((2, 3), np.float32)})["grad/x"].sum())


def test_several_values_around_the_branches_at_once() -> None:
    proto = ir.to_proto(add_gradients(canonicalize(load(_model(_BOTH)).ir), "y", ["a", "b", "x"]))
    x = floats(2, 3, seed=1)
    for which in (True, False):
        found = OnnxRuntime(proto)({"x": x, "which": np.array(which), "cotangent": np.ones((2, 3), np.float32)})
        a, b = np.exp(x), np.sin(x)
        np.testing.assert_allclose(found["grad/a"], 2 * b if which else -2 * a, rtol=1e-5)
        np.testing.assert_allclose(found["grad/b"], 2 * a if which else np.zeros_like(a), rtol=1e-5)


def test_weights_of_branches_are_there_once() -> None:
    text = _BOTH.replace("two = Constant <value_float = 2.0> () ", "").replace("Mul(a, two)", "MatMul(a, big)")
    proto = model(text)
    branch = next(a.g for node in proto.graph.node for a in node.attribute if a.name == "then_branch")
    branch.initializer.append(onnx.numpy_helper.from_array(floats(3, 3), "big"))
    with_gradients = add_gradients(canonicalize(load(proto).ir), "y", ["x"])
    assert "big" in with_gradients.graph.initializers
    assert all("big" not in str(name) for graph in with_gradients.graph.subgraphs() for name in graph.initializers)
    assert _found(_BOTH, _feeds(("which",), 1), None) != 0


def test_missing_rules_in_branches_are_listed_with_the_others() -> None:
    text = _BOTH.replace("p = Mul(h, b)", "t = Transpose(b) s = MatMul(t, b) d = Det(s) p = Mul(h, d)")
    text = text.replace("q = Neg(h)", "k = Unique <axis = 0> (h) q = Neg(k)")
    canonical = canonicalize(load(_model(text)).ir)
    with pytest.raises(UnsupportedError, match=r"2 operator\(s\) .*Det \(at .*Unique \(at"):
        add_gradients(canonical, "y", ["x"])


def test_a_branch_that_draws_by_chance_is_refused() -> None:
    text = _BOTH.replace("q = Neg(h)", "r = RandomNormalLike(h) q = Mul(h, r)")
    with pytest.raises(UnsupportedError, match=r"its branch draws by chance \(RandomNormalLike"):
        add_gradients(canonicalize(load(_model(text)).ir), "y", ["x"])


def test_layers_lie_before_branches_too() -> None:
    text = """main (float[n,3,8,8] x) => (float[n,3] y) {
      d = Conv <pads = [1, 1, 1, 1]> (x, k) c = Relu(d)
      s = ReduceSum <keepdims = 0> (c) t = Sigmoid(s) which = Greater(s, t)
      y = If (which) <then_branch = yes () => (float[n,3] p) { m = GlobalMaxPool(c) p = Flatten(m) },
        else_branch = no () => (float[n,3] q) { l = GlobalAveragePool(c) q = Flatten(l) }>
    }"""
    canonical = canonicalize(load(model(text, {"k": floats(3, 3, 3, 3)})).ir)
    assert [layer.name for layer in candidates(canonical.graph, "y")] == ["c"]
    # One branch is taken for all samples of a run, so that they are explained one by one.
    assert mixes_samples(canonical.graph)
    assert not mixes_samples(canonicalize(load(_model(_BOTH)).ir).graph)
