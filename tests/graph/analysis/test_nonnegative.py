"""Claims are checked by running: on random graphs no value that is claimed is ever negative."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from onnxcam.graph.analysis import nonnegative as positive
from onnxcam.graph.analysis.nonnegative import nonnegative
from onnxcam.graph.analysis.values import named_values
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.network.open_session import open_session
from onnxcam.network.random_inputs import random_inputs
from onnxcam.network.read import read_network
from tests.helpers.models import floats, model, rng
from tests.helpers.shared import shared_path

CONSTANTS: dict[str, Any] = {
    "zero": np.float32(0),
    "one": np.float32(1),
    "minus": np.float32(-1),
    "two": np.float32(2),
    "three": np.float32(3),
    "up": np.abs(floats(4, 1, 1)) + 0.1,
    "mixed": floats(4, 1, 1, seed=1),
    "w_up": np.abs(floats(4, 4, 1, 1)),
    "w_mixed": floats(4, 4, 1, 1, seed=2),
    "b_up": np.abs(floats(4)),
    "b_mixed": floats(4, seed=3),
    "none": np.zeros(4, np.float32),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "pair": np.array([2, 2]),
    "begin": np.array([1, 1]),
    "end": np.array([7, 7]),
    "places": np.array([2, 3]),
    "front": np.array([0, 2, 4, 6]),
    "scales": np.array([1, 1, 2, 2], np.float32),
    "grid": np.tile(1.2 * np.tanh(floats(1, 6, 6, 2, seed=4)), (2, 1, 1, 1)),
    "flat": np.array([2, 4, 36]),
    "image": np.array([2, 4, 6, 6]),
    "uzero": np.uint8(0),
    "unine": np.uint8(9),
    "izero": np.int8(0),
    "low": np.int8(-128),
    "step": np.float32(0.02),
    "all": np.array([2, 3]),
    "axis": np.int64(1),
}
# What an operator gives for two values; "+" stands before those that are never negative.
ANY = [
    *("+y = Relu(a)", "+y = Sigmoid(a)", "+y = HardSigmoid(a)", "+y = Softplus(a)", "+y = Softmax(a)", "+y = Exp(a)"),
    *("+y = Abs(a)", "+y = Sqrt(a)", "+y = Cosh(a)", "+y = Mul(a, a)", "+y = Pow(a, two)", "+y = Clip(a, zero, three)"),
    *("+y = Max(a, zero)", "+y = Max(b, up, a)", "+y = Clip(a, one)", "+t = ReduceL2(a, all) u = Abs(b) y = Add(t, u)"),
    "+t = QuantizeLinear(a, step, uzero) y = DequantizeLinear(t, step, uzero)",
    "+t = QuantizeLinear(a, step, low) y = DequantizeLinear(t, step, low)",
    "+y = LpPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (a)",
    *("y = Neg(a)", "y = Sub(a, b)", "y = Clip(a, minus, one)", "y = Pow(a, three)", "y = Max(a, minus)"),
    *("y = Clip(a, one, minus)", "y = Cos(a)", "y = LogSoftmax(a)", "y = Min(a, one)", "y = Clip(a, , minus)"),
    "t = QuantizeLinear(a, step, unine) y = DequantizeLinear(t, step, unine)",
    "t = QuantizeLinear(a, step, izero) y = DequantizeLinear(t, step, izero)",
]
# If the two are not negative, what follows a "+" is not either.
KEPT = [
    *("+y = Add(a, b)", "+y = Mul(a, b)", "+y = Sum(a, b, up)", "+y = Mean(a, b)", "+y = Min(a, b)", "+y = Max(a, b)"),
    *("+y = LeakyRelu(a)", "+y = Elu(a)", "+y = HardSwish(a)", "+y = Tanh(a)", "+y = Erf(a)", "+y = Floor(a)"),
    *("+y = PRelu(a, mixed)", "+y = Mish(a)", "+y = Div(a, up)", "+y = Pow(a, three)", "+y = Clip(a, minus, one)"),
    *("+y = Mul(a, up)", "+y = Add(a, up)", "+y = Conv(a, w_up)", "+y = Conv(a, w_up, b_up)", "+y = CumSum(a, axis)"),
    *("+y = ConvTranspose(a, w_up, b_up)", "+y = MatMul(a, b)", "+y = LRN <size = 3> (a)", "+y = Identity(a)"),
    "+y = BatchNormalization(a, b_up, b_up, none, b_up)",
    "+t = Greater(a, b) y = Where(t, a, b)",
    "+t = Less(a, b) y = Cast <to = 1> (t)",
    "+t = Concat <axis = 1> (a, b) y = Gather <axis = 1> (t, front)",
    "+t, u = Split <axis = 1, num_outputs = 2> (a) y = Concat <axis = 1> (u, t)",
    "+t = Reshape(a, flat) y = Reshape(t, image)",
    "+y = Transpose <perm = [0, 1, 3, 2]> (a)",
    "+t = Pad(a, pads) y = Slice(t, begin, end, places)",
    '+t = Pad <mode = "reflect"> (a, pads) y = AveragePool <kernel_shape = [3, 3]> (t)',
    "+t = Pad(a, pads, two) y = MaxPool <kernel_shape = [3, 3]> (t)",
    '+t = Resize <mode = "linear"> (a, , scales) y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (t)',
    '+t = Resize <mode = "nearest"> (a, , scales) y = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (t)',
    '+y = GridSample <mode = "bilinear"> (a, grid)',
    "+t = GlobalAveragePool(a) y = Mul(t, b)",
    "+t = ReduceMean(a, all) y = Add(t, b)",
    "+t = ReduceMax(a, all) y = Add(t, b)",
    "+t = QuantizeLinear(a, step, izero) y = DequantizeLinear(t, step, izero)",
    *("y = Mul(a, mixed)", "y = Add(a, mixed)", "y = Conv(a, w_mixed)", "y = Conv(a, w_up, b_mixed)", "y = Neg(a)"),
    *("y = Div(a, mixed)", "y = Sub(a, b)", "y = Sub(a, up)", "y = Log(a)", "y = Cos(a)", "y = Clip(a, minus, minus)"),
    "y = BatchNormalization(a, b_up, b_mixed, none, b_up)",
    "y = BatchNormalization(a, b_mixed, b_up, none, b_up)",
    "y = BatchNormalization(a, b_up, none, b_up, b_up)",
    "t = Pad(a, pads, minus) y = Slice(t, none_begin, begin6, places)",
    '+t = Pad <mode = "edge"> (a, pads, minus) y = AveragePool <kernel_shape = [3, 3]> (t)',
    'y = GridSample <mode = "bicubic"> (a, grid)',
    't = Resize <mode = "cubic"> (a, , scales) y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (t)',
]
CONSTANTS |= {"none_begin": np.array([0, 0]), "begin6": np.array([6, 6])}


def _graph(lines: list[str]) -> ir.Model:
    text = "g (float[2, 4, 6, 6] x, float[2, 4, 6, 6] z) => (float[2, 4, 6, 6] last) { " + "\n".join(lines) + " }"
    used = {name: np.asarray(value) for name, value in CONSTANTS.items() if name in text}
    return canonicalize(load(model(text, used, opset=19)).ir)


def _as_lines(template: str, number: int, a: str, b: str) -> str:
    """Give the values of a template names of their own."""
    words = {"a": a, "b": b, "y": f"v{number}", "t": f"t{number}", "u": f"u{number}"}
    out, word = "", ""
    for letter in template.removeprefix("+") + " ":
        if letter.isalnum() or letter == "_":
            word += letter
        else:
            out += words.get(word, word) + letter
            word = ""
    return out


def _values(network: ir.Model) -> dict[str, Any]:
    """Run a network and return all of its values."""
    shown = network.clone()
    values = [value for value in named_values(shown.graph) if value.producer() is not None]
    shown.graph.outputs[:] = values
    names = [str(value.name) for value in values]
    feeds = {"x": 2 * floats(2, 4, 6, 6, seed=5), "z": 2 * floats(2, 4, 6, 6, seed=6)}
    return open_session(shown, ["cpu"]).run({key: feeds[key] for key in feeds}, names)


def _random(seed: int) -> ir.Model:
    """Return a network of ten random operators, each on two of the values before it."""
    random = rng(seed)
    names, lines = ["x", "z"], []
    for number in range(10):
        template = random.choice(ANY if random.random() < 0.4 else KEPT)
        a, b = (names[-1 - min(int(random.exponential(1.5)), len(names) - 1)] for _ in range(2))
        lines.append(_as_lines(str(template), number, a, b))
        names.append(f"v{number}")
    return _graph([*lines, "last = Add(x, v9) w = Identity(z)"])


def _wrong(network: ir.Model) -> list[str]:
    """Return the names of values that are claimed not to be negative and are."""
    claimed = [str(value.name) for value in nonnegative(network.graph) if value.producer() is not None]
    values = _values(network)
    return [name for name in claimed if (values[name] < 0).any()]


@pytest.mark.parametrize("seed", range(60))
def test_no_value_that_is_claimed_is_negative(seed: int) -> None:
    assert _wrong(_random(seed)) == []


@pytest.mark.parametrize("operator", ["Neg", "Cos"])
@pytest.mark.parametrize("claims", ["_ALWAYS", "_OF_FIRST"])
def test_a_wrong_claim_is_caught(operator: str, claims: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positive, claims, getattr(positive, claims) | {operator})
    assert any(_wrong(_random(seed)) for seed in range(60))


@pytest.mark.parametrize(("template", "given"), [*((t, "x") for t in ANY), *((t, "up") for t in KEPT)])
def test_what_is_known(template: str, given: str) -> None:
    lines = ["a0 = Relu(x) b0 = Relu(z)"] if given == "up" else ["a0 = Identity(x) b0 = Identity(z)"]
    network = _graph([*lines, _as_lines(template, 0, "a0", "b0"), "last = Sub(z, v0)"])
    names = {value.name for value in nonnegative(network.graph)}
    assert ("v0" in names) == template.startswith("+")
    if given == "up" and template not in ANY:
        plain = _graph(["a0 = Identity(x) b0 = Identity(z)", _as_lines(template, 0, "a0", "b0"), "last = Sub(z, v0)"])
        exception = template.startswith(("+y = Max(", "+t = Less("))
        assert exception or "v0" not in {value.name for value in nonnegative(plain.graph)}


def test_weights_and_inputs() -> None:
    network = _graph(["t = Mul(x, up) v0 = Add(t, mixed) last = Identity(v0)"])
    assert {value.name for value in nonnegative(network.graph)} == {"up"}


@pytest.mark.parametrize(
    ("name", "share"),
    [("geometric_shapes", 0.25), ("resnet8_cifar10_keras_fp32", 0.3), ("mobilenet_v1_tf_qdq_uint8", 0.3)],
)
def test_real_networks(name: str, share: float) -> None:
    network = read_network(shared_path("models", f"{name}.onnx"))
    shown = network.model.clone()
    shown.graph.outputs[:] = [value for node in shown.graph for value in node.outputs]
    names = [str(value.name) for value in shown.graph.outputs]
    values = open_session(shown, ["cpu"]).run(random_inputs(network.inputs, network.batch or 2), names)
    claimed = {str(value.name) for value in nonnegative(network.model.graph) if value.producer() is not None}
    assert [name for name in claimed if (values[name] < 0).any()] == []
    assert len(claimed) > share * len(names)
