"""Which nodes the backward pass goes through: each of those needs a rule, and no other node does."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import parser

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import gradient_table
from onnxcam.errors import UnsupportedError
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.small_graphs import X, gradients, parse


def test_every_missing_rule_is_listed_at_once() -> None:
    model = parse(
        "g (float[2,3] x) => (float[2,3] y) { a = Exp(x) "
        "b = Unique(a) c = Det(m) d = Add(b, c) e = DFT(d) y = Mul(e, x) }"
    )
    model.graph.node.insert(1, onnx.helper.make_node("MatMul", ["a", "w"], ["m"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "w"))
    with pytest.raises(UnsupportedError) as caught:
        add_gradients(canonicalize(ir.from_proto(model)), "y", ["x"])
    assert all(op in str(caught.value) for op in ("Unique", "Det", "DFT"))
    assert "ONNX has no operator for" in str(caught.value)
    assert "3 operator(s)" in str(caught.value)


def test_an_operator_without_a_rule_off_the_way_is_left_alone() -> None:
    model = parse(
        "g (float[2,3] x) => (float[2,3] y, float[2,3] other, int64[2,3] i) "
        "{ a = Exp(x) y = Mul(a, a) b, i = TopK <axis = 1> (x, k) other = Trilu(b) }"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([3]), "k"))
    feeds = {"x": X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(model, "y", ["x"], feeds)
    np.testing.assert_allclose(found["grad/x"], 2 * np.exp(2 * X), rtol=1e-5)
    np.testing.assert_array_equal(found["i"][0], [2, 0, 1])


def test_an_operator_without_a_rule_that_makes_the_value_is_not_asked() -> None:
    """The layer right after it is a later layer; so is one of several, where the others have gradients too."""
    text = "g (float[2,3] x) => (float[2,3] y) { a = Exp(x) b = Round(a) c = Add(a, b) y = Mul(c, c) }"
    feeds = {"x": X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    twice = 2 * (np.exp(X) + np.round(np.exp(X)))
    for wrt in (["b"], ["a", "b"]):
        found = gradients(parse(text), "y", wrt, feeds)
        np.testing.assert_allclose(found["grad/b"], twice, rtol=1e-5)
    np.testing.assert_allclose(found["grad/a"], twice, rtol=1e-5)


def _with_if() -> onnx.ModelProto:
    then = parser.parse_graph("then () => (float[2,3] t) { t = Sin(x) }")
    other = parser.parse_graph("other () => (float[2,3] u) { u = Cos(x) }")
    model = parse("g (float[2,3] x, bool c) => (float[2,3] y, float[2,3] z) { a = Exp(x) y = Mul(a, a) z = Exp(a) }")
    model.graph.node[2].CopyFrom(
        onnx.helper.make_node("If", ["c"], ["z"], name="branch", then_branch=then, else_branch=other)
    )
    return model


def test_an_if_off_the_way_is_left_alone() -> None:
    feeds = {"x": X.astype(np.float32), "c": np.array(True), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(_with_if(), "y", ["x"], feeds)
    np.testing.assert_allclose(found["grad/x"], 2 * np.exp(2 * X), rtol=1e-5)
    np.testing.assert_allclose(found["z"], np.sin(X), rtol=1e-5)


def test_an_if_on_the_way_is_not_overlooked() -> None:
    """Its branches read x from outside: a search that looks at a node's inputs alone would miss that."""
    for which, slope in ((True, np.cos(X)), (False, -np.sin(X))):
        feeds = {"x": X.astype(np.float32), "c": np.array(which), "cotangent": np.ones((2, 3), np.float32)}
        np.testing.assert_allclose(gradients(_with_if(), "z", ["x"], feeds)["grad/x"], slope, rtol=1e-5)


def test_a_second_output_that_a_rule_ignores_is_refused() -> None:
    model = parse("g (float[2,3] x) => (float[2,3] y) { a, mean = LayerNormalization (x, s) y = Add(a, mean) }")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, np.float32), "s"))
    with pytest.raises(UnsupportedError, match=r"LayerNormalization.*further outputs"):
        add_gradients(canonicalize(ir.from_proto(model)), "y", ["x"])


def test_an_input_that_a_rule_forgets_is_refused() -> None:
    model = parse("g (float[2,3] x, float[2,3] w) => (float[2,3] y) { y = Mul(x, w) }")
    (rule,) = gradient_table()["", "Mul"]
    forgetful = replace(rule, function=lambda op, node, dy: (dy, None))
    table = MappingProxyType({**gradient_table(), ("", "Mul"): (forgetful,)})
    with pytest.raises(UnsupportedError, match=r"no gradient for its input 1 \('w'\); choose a later layer"):
        add_gradients(canonicalize(ir.from_proto(model)), "y", ["w"], table=table)
