"""Rules of quantised operators against torch's autograd in float64 on the same numbers, rounded and cut alike.

Rounding has no derivative, so differences cannot check these rules: what they promise is that rounding counts as the
identity and that cutting to the range stops the gradient. torch is given exactly that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from onnxcam.autodiff.registry import Rule, Table, gradient_table
from onnxcam.graph.analysis.quantization import MICROSOFT
from tests.helpers.checks import OnnxRuntime, assert_close, cotangent_like, differentiate
from tests.helpers.sample import Array
from tests.helpers.scaling import scaled

_ZERO, _TOP = 128, 255
_RTOL = 1e-5


def cut(x: torch.Tensor, scale: float, zero: int, *, reached: bool) -> torch.Tensor:
    """Return x rounded to 8 bits, with the gradient of the identity inside the range and none beyond.

    With ``reached`` the end of the range counts as beyond it: a result there has been cut.
    """
    number = x / scale + zero
    q = torch.clamp(torch.round(number), 0, _TOP)
    inside = (q > 0) & (q < _TOP) if reached else (number >= 0) & (number <= _TOP)
    passed = torch.where(inside, x, torch.zeros_like(x))
    return passed + ((q - zero) * scale - passed).detach()


@dataclass(frozen=True, eq=False)
class Case:
    """A quantised operator between QuantizeLinear and DequantizeLinear.

    Attributes:
        op: operator.
        domain: its operator set.
        shapes: of the real inputs, each quantised with a scale of its own.
        real: the same operator on real numbers.
        attributes: as in ONNX.
        scale: of the result, small enough for some results to be cut.
        zero: zero point of the result.
        form: how the inputs lie: ``pairs`` (value, scale, zero) and the result's at the end; ``integer`` for a sum
            that stays 32-bit; ``concat`` for the result's scale first; ``gemm`` for a missing C.
        rounded: real operator whose rule reads the rounded result: the derivative from the result and the cotangent.
    """

    op: str
    domain: str
    shapes: tuple[tuple[int, ...], ...]
    real: Callable[..., torch.Tensor]
    attributes: dict[str, Any] = field(default_factory=dict)
    scale: float = 0.012
    zero: int = _ZERO
    form: str = "pairs"
    rounded: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None

    def scales(self) -> list[float]:
        """Return the scale of each input."""
        return [0.013 + 0.002 * index for index in range(len(self.shapes))]

    def weights(self) -> dict[str, Array]:
        """Return scales and zero points by name."""
        found: dict[str, Array] = {"s": np.array(self.scale, np.float32), "z": np.array(self.zero, np.uint8)}
        for index, scale in enumerate(self.scales()):
            found |= {f"s{index}": np.array(scale, np.float32), f"z{index}": np.array(_ZERO, np.uint8)}
        return found

    def model(self) -> onnx.ModelProto:
        """Return the model."""
        triples = [(f"q{i}", f"s{i}", f"z{i}") for i in range(len(self.shapes))]
        nodes = [
            helper.make_node("QuantizeLinear", [f"x{i}", scale, zero], [q])
            for i, (q, scale, zero) in enumerate(triples)
        ]
        flat = [name for triple in triples for name in triple]
        inputs = {
            "pairs": [*flat, "s", "z"],
            "gemm": [*flat, "", "s", "z"],
            "concat": ["s", "z", *flat],
            "integer": [t[0] for t in triples] + [t[2] for t in triples],
        }[self.form]
        nodes.append(helper.make_node(self.op, inputs, ["q"], domain=self.domain, **self.attributes))
        if self.form == "integer":
            nodes.append(helper.make_node("Cast", ["q"], ["y"], to=TensorProto.FLOAT))
        else:
            nodes.append(helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]))
        return _model(nodes, self.shapes, self.weights())

    def reference(self, arrays: list[Array], cotangent: Array) -> list[Array]:
        """Return torch's gradients."""
        leaves = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
        given = [cut(x, float(np.float32(s)), _ZERO, reached=False) for x, s in zip(leaves, self.scales(), strict=True)]
        dy = torch.tensor(cotangent, dtype=torch.float64)
        if self.form == "integer":
            whole = [x / float(np.float32(s)) for x, s in zip(given, self.scales(), strict=True)]
            self.real(*whole).backward(dy)
        else:
            real = self.real(*given)
            y = cut(real, float(np.float32(self.scale)), self.zero, reached=True)
            if self.rounded is None:
                y.backward(dy)
            else:
                (inside,) = torch.autograd.grad(y, real, dy, retain_graph=True)
                given[0].backward(self.rounded(y.detach(), inside))
        return [x.grad.numpy() for x in leaves]


def _model(
    nodes: list[onnx.NodeProto], shapes: tuple[tuple[int, ...], ...], weights: dict[str, Array]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(shapes)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _softmax(y: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
    return y * (dy - (dy * y).sum(-1, keepdim=True))


_FUNCTIONAL = torch.nn.functional
CASES = [
    Case("QLinearConv", "", ((2, 3, 6, 6), (4, 3, 3, 3)), torch.conv2d, scale=0.05),
    Case("QLinearConv", MICROSOFT, ((1, 2, 5, 5), (4, 2, 3, 3)), torch.conv2d, scale=0.05),
    Case("QLinearMatMul", "", ((3, 4), (4, 5)), torch.matmul, scale=0.02),
    Case("ConvInteger", "", ((2, 2, 5, 5), (3, 2, 3, 3)), torch.conv2d, form="integer"),
    Case("MatMulInteger", "", ((3, 4), (4, 5)), torch.matmul, form="integer"),
    Case("QLinearAdd", MICROSOFT, ((2, 3, 4), (3, 1)), torch.add),
    Case("QLinearMul", MICROSOFT, ((2, 3, 4), (3, 1)), torch.mul, scale=0.006),
    Case("QLinearConcat", MICROSOFT, ((2, 3), (2, 4)), lambda a, b: torch.cat((a, b), 1), {"axis": 1}, form="concat"),
    Case("QGemm", MICROSOFT, ((3, 4), (4, 5)), torch.matmul, scale=0.02, form="gemm"),
    Case("QLinearLeakyRelu", MICROSOFT, ((3, 7),), lambda x: _FUNCTIONAL.leaky_relu(x, 0.2), {"alpha": 0.2}),
    Case("QLinearAveragePool", MICROSOFT, ((2, 2, 6, 6),), lambda x: _FUNCTIONAL.avg_pool2d(x, 2),
         {"kernel_shape": [2, 2], "strides": [2, 2]}, scale=0.006),
    Case("QLinearGlobalAveragePool", MICROSOFT, ((2, 3, 2, 2),), lambda x: x.mean((2, 3), keepdim=True), scale=0.006),
    Case("QLinearSigmoid", MICROSOFT, ((3, 7),), torch.sigmoid, scale=1 / 256, zero=0,
         rounded=lambda y, dy: dy * y * (1 - y)),
    Case("QLinearSoftmax", MICROSOFT, ((3, 7),), lambda x: torch.softmax(x, -1), {"axis": -1, "opset": 13},
         scale=1 / 256, zero=0, rounded=_softmax),
]  # fmt: skip


def inputs_of(shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    """Return real numbers of which some lie beyond the range, and none at a place where rounding tips over."""
    rng = np.random.default_rng(5)
    return [rng.uniform(-1.9, 1.9, shape).astype(np.float32) for shape in shapes]


def check(case: Case, table: Table | None = None) -> None:
    """Compare onnxruntime's gradients with torch's.

    Raises:
        AssertionError: they differ.
    """
    arrays = inputs_of(case.shapes)
    feeds = {f"x{i}": a for i, a in enumerate(arrays)}
    model = case.model()
    y = OnnxRuntime(model, optimize=False)(feeds)["y"]
    cotangent = cotangent_like(y)
    # An operand that the rule of the real operator has no gradient for is a weight.
    wrt = ["x0"] if "Conv" in case.op else list(feeds)
    results = OnnxRuntime(differentiate(model, "y", wrt, table), optimize=False)(feeds | {"cotangent": cotangent})
    for name, want in zip(wrt, case.reference(arrays, cotangent), strict=False):
        assert_close(results[f"grad/{name}"], want, _RTOL)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.domain}{c.op}")
def test_gradient(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.domain}{c.op}")
def test_a_scaled_rule_fails(case: Case) -> None:
    rule = gradient_table()[case.domain, case.op][0]
    with pytest.raises(AssertionError):
        check(case, scaled(rule, 2 if case.form == "concat" else 0))


def _round_trip(first: str, domain: str, weights: dict[str, Array], **attributes: Any) -> onnx.ModelProto:
    if first == "DynamicQuantizeLinear":
        nodes = [
            helper.make_node(first, ["x0"], ["q", "s", "z"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ]
    else:
        names = ["s", "z"] if "z" in weights else ["s"]
        nodes = [
            helper.make_node(first, ["x0", *names], ["q"], domain=domain, **attributes),
            helper.make_node("DequantizeLinear", ["q", *names], ["y"], domain=domain, **attributes),
        ]
    return _model(nodes, ((2, 3, 4),), weights)


_TRIPS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "tensor": ("QuantizeLinear", "", {"s": np.float32(0.01), "z": np.uint8(100)}, {}),
    "signed": ("QuantizeLinear", "", {"s": np.float32(0.01), "z": np.int8(-20)}, {}),
    "no zero point": ("QuantizeLinear", "", {"s": np.float32(0.006)}, {}),
    "axis": (
        "QuantizeLinear",
        "",
        {"s": np.array([0.01, 0.02, 0.005], np.float32), "z": np.array([100, 128, 5], np.uint8)},
        {"axis": 1},
    ),
    "microsoft": ("QuantizeLinear", MICROSOFT, {"s": np.float32(0.01), "z": np.uint8(100)}, {}),
    "dynamic": ("DynamicQuantizeLinear", "", {}, {}),
}


def check_trip(name: str, table: Table | None = None) -> None:
    """Compare the gradient of rounding and back: the cotangent inside the range, 0 beyond.

    Raises:
        AssertionError: they differ.
    """
    first, domain, weights, attributes = _TRIPS[name]
    weights = {key: np.asarray(value) for key, value in weights.items()}
    model = _round_trip(first, domain, weights, **attributes)
    (x,) = inputs_of(((2, 3, 4),))
    cotangent = cotangent_like(x)
    found = OnnxRuntime(differentiate(model, "y", ["x0"], table), optimize=False)({"x0": x, "cotangent": cotangent})
    inside: Any = True
    if weights:
        scale, zero = (np.reshape(v, (-1, 1)) for v in (weights["s"], weights.get("z", np.uint8(0))))
        low, high = (-128, 127) if zero.dtype == np.int8 else (0, _TOP)
        number = x / scale + zero.astype(np.float64)
        inside = (number >= low) & (number <= high)
        assert not inside.all()
    assert_close(found["grad/x0"], np.where(inside, cotangent, 0), _RTOL)


@pytest.mark.parametrize("name", _TRIPS)
def test_rounding_and_back(name: str) -> None:
    check_trip(name)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("tensor", ("", "QuantizeLinear")),
        ("tensor", ("", "DequantizeLinear")),
        ("microsoft", (MICROSOFT, "QuantizeLinear")),
        ("microsoft", (MICROSOFT, "DequantizeLinear")),
        ("dynamic", ("", "DynamicQuantizeLinear")),
    ],
)
def test_a_scaled_rounding_fails(name: str, key: tuple[str, str]) -> None:
    with pytest.raises(AssertionError):
        check_trip(name, scaled(gradient_table()[key][0], 0))


def test_every_quantised_rule_is_here() -> None:
    def quantised(rule: Rule) -> bool:
        return rule.function.__module__.rpartition(".")[2] in ("quantized", "qlinear")

    wanted = {(r.domain, r.op_type) for rules in gradient_table().values() for r in rules if quantised(r)}
    here = {(case.domain, case.op) for case in CASES}
    here |= {(d, op) for d in ("", MICROSOFT) for op in ("QuantizeLinear", "DequantizeLinear")}
    assert wanted == here | {("", "DynamicQuantizeLinear")}
