"""Guided backpropagation's rules, one activation at a time, written in the ways in which files have them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import onnxcam
from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import Table
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.network.open_session import open_session
from onnxcam.network.read import read_network
from onnxcam.relevance.guided import Guided, guided_table
from tests.helpers.models import classifier, floats, model
from tests.helpers.shared import shared_path

NUMBERS: dict[str, Any] = {
    "zero": 0,
    "zeros": np.zeros((3, 1)),
    "low": -1,
    "half": 0.5,
    "one": 1,
    "three": 3,
    "six": 6,
    "tenth": 0.1,
    "root": np.sqrt(2),
    "k": np.sqrt(2 / np.pi),
    "c": 0.044715,
    "slope": np.full((3, 1), 0.2),
    "channels": floats(3, 1),
    "step": 0.05,
    "first": np.int8(-128),
    "middle": np.int8(3),
    "least": np.uint8(0),
}
ACTIVATIONS = [
    *("y = Relu(x)", "y = LeakyRelu(x)", "y = PRelu(x, slope)", "y = Elu(x)", "y = Selu(x)", "y = Celu(x)"),
    *("y = Gelu(x)", "y = Mish(x)", "y = HardSwish(x)", "y = ThresholdedRelu(x)"),
    *("y = Clip(x, zero, six)", "y = Clip(x, zero)", "y = Max(x, zero)", "y = Max(zeros, x)"),
    "a = Mul(x, tenth) y = Max(x, a)",
    "a = Sigmoid(x) y = Mul(x, a)",
    "a = Mul(x, three) s = Sigmoid(a) y = Mul(s, x)",
    "a = HardSigmoid <alpha = 0.1666, beta = 0.5> (x) y = Mul(a, x)",
    "a = Add(x, three) s = Clip(a, zero, six) t = Mul(x, s) y = Div(t, six)",
    "a = Add(x, three) s = Clip(a, zero, six) t = Div(s, six) y = Mul(x, t)",
    "a = Div(x, root) e = Erf(a) s = Add(e, one) t = Mul(x, s) y = Mul(t, half)",
    "a = Div(x, root) e = Erf(a) s = Add(e, one) t = Mul(x, half) y = Mul(t, s)",
    "q = Mul(x, x) r = Mul(q, x) u = Mul(r, c) v = Add(x, u) w = Mul(v, k) e = Tanh(w) s = Add(e, one) "
    "t = Mul(x, half) y = Mul(t, s)",
    "a = Softplus(x) t = Tanh(a) y = Mul(x, t)",
    "q = QuantizeLinear(x, step, first) y = DequantizeLinear(q, step, first)",
    "q = QuantizeLinear(x, step, least) y = DequantizeLinear(q, step, least)",
    "q = QuantizeLinear(x, step) y = DequantizeLinear(q, step)",
]
OTHERS = [
    *("y = Sigmoid(x)", "y = Tanh(x)", "y = HardSigmoid(x)", "y = Mul(x, x)", "y = Clip(x, low, one)", "y = Neg(x)"),
    *("y = Mul(x, half)", "y = Mul(x, channels)", "y = Max(x, channels)", "y = Erf(x)", "y = Softplus(x)"),
    "a = Add(x, three) s = Clip(a, zero, six) y = Div(s, six)",
    "m = ReduceMean(x) s = Sigmoid(m) y = Mul(x, s)",
    "e = Exp(x) y = Mul(x, e)",
    "a = Sigmoid(x) b = Tanh(x) y = Mul(a, b)",
    "q = QuantizeLinear(x, step, middle) y = DequantizeLinear(q, step, middle)",
    "s = Sigmoid(x) q = QuantizeLinear(s, step, first) y = DequantizeLinear(q, step, first)",
]
X, G = 3 * floats(2, 3, 5, seed=1), floats(2, 3, 5, seed=2)


def _gradient(text: str, cotangent: Any, table: Table | None = None) -> Any:
    used = {name: np.asarray(value) for name, value in NUMBERS.items() if name in text}
    weights = {k: v if isinstance(NUMBERS[k], np.integer) else v.astype(np.float32) for k, v in used.items()}
    graph = canonicalize(load(model(f"g (float[n, 3, 5] x) => (float[n, 3, 5] y) {{ {text} }}", weights, 20)).ir)
    session = open_session(add_gradients(graph, "y", ["x"], table=table), ["cpu"])
    return session.run({"x": X, "cotangent": cotangent}, ["grad/x"])["grad/x"]


def _close(found: Any, wanted: Any) -> bool:
    return bool(np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_at_an_activation_what_speaks_against_the_score_stops(text: str) -> None:
    found, wanted = _gradient(text, G, guided_table()), _gradient(text, np.maximum(G, 0))
    assert _close(found, wanted)
    assert not _close(1.001 * found, wanted)
    assert not _close(_gradient(text, G), wanted)


@pytest.mark.parametrize("text", OTHERS)
def test_everything_else_keeps_its_gradient(text: str) -> None:
    found, wanted = _gradient(text, G, guided_table()), _gradient(text, G)
    assert _close(found, wanted)
    assert not _close(1.001 * found, wanted)


def test_the_formula_of_the_paper() -> None:
    assert _close(_gradient("y = Relu(x)", G, guided_table()), G * (X > 0) * (G > 0))


def test_what_arrives_from_two_sides_is_added_first() -> None:
    found = _gradient("a = Relu(x) b = Mul(a, channels) y = Sub(b, a)", G, guided_table())
    arrives = G * (NUMBERS["channels"] - 1)
    assert _close(found, arrives * (X > 0) * (arrives > 0))


def test_the_backward_pass_is_the_gradients_and_a_relu_for_each_activation() -> None:
    graph = canonicalize(load(classifier()).ir)
    plain, guided = (
        Counter(node.op_type for node in add_gradients(graph, "logits", ["x"], table=table).graph)
        for table in (None, guided_table())
    )
    assert guided - plain == Counter({"Relu": 2})
    assert not plain - guided


def test_a_quantised_networks_relus_are_found() -> None:
    """ShuffleNet v2 has a ReLU after 37 of its 56 convolutions; the file has kernels of integers and no ReLU."""
    graph = read_network(shared_path("models", "shufflenet_v2_qlinear_int8.onnx")).model.graph
    guided = Guided()
    convolutions = [node for node in graph if node.op_type == "QLinearConv"]
    assert [len(convolutions), sum(guided.cuts_off(graph, node) for node in convolutions)] == [56, 37]


def _written(activation: str) -> onnx.ModelProto:
    """Return a classifier whose activations are written in another way."""
    proto = classifier()
    if activation == "fused":
        return _fused(proto)
    for node in proto.graph.node:
        if node.op_type == "Relu":
            node.op_type = activation
            node.input.append("nothing")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, np.float32), "nothing"))
    return proto


def _fused(proto: onnx.ModelProto) -> onnx.ModelProto:
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    for node, following in zip(nodes, [*nodes[1:], None], strict=True):
        if node.op_type == "Conv" and following is not None:
            node.op_type, node.domain = "FusedConv", "com.microsoft"
            node.attribute.append(helper.make_attribute("activation", "Relu"))
            node.output[0] = following.output[0]
        if node.op_type != "Relu":
            proto.graph.node.append(node)
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return proto


@pytest.mark.parametrize("method", ["guided-backprop", "guided-grad-cam", "guided-xgrad-cam"])
@pytest.mark.parametrize("activation", ["Max", "Clip", "fused"])
def test_a_relu_in_other_words_gives_the_same_map(activation: str, method: str) -> None:
    layer = None if method == "guided-backprop" else "a2"
    x = floats(3, 3, 8, 8, seed=7)
    wanted = onnxcam.Explainer(classifier(), method, layer)(x, [0, 1, 2]).raw
    found = onnxcam.Explainer(_written(activation), method, layer)(x, [0, 1, 2]).raw
    assert found.shape == (3, 8, 8)
    assert _close(found, wanted)
    assert not _close(1.001 * found, wanted)


def test_several_targets_of_one_sample() -> None:
    x = floats(2, 3, 8, 8, seed=7)
    explainer = onnxcam.Explainer(classifier(), "guided-grad-cam", "a1")
    together = explainer(x, [[0, 3], [1]])
    for row, (sample, target) in enumerate([(0, 0), (0, 3), (1, 1)]):
        assert _close(together.raw[row], explainer(x[sample : sample + 1], target).raw[0])
