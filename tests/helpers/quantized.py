"""Quantised operators with torch's autograd as oracle: rounding counts as the identity, what is cut has gradient 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from onnxcam.autodiff.registry import Table
from onnxcam.graph.analysis.quantization import MICROSOFT
from tests.helpers.checks import OnnxRuntime, assert_close, cotangent_like, differentiate
from tests.helpers.sample import Array

_ZERO, TOP = 128, 255
RTOL = 1e-5


def cut(x: torch.Tensor, scale: float, zero: int, *, reached: bool) -> torch.Tensor:
    """Return x rounded to 8 bits, with the gradient of the identity inside the range and none beyond.

    With ``reached`` the end of the range counts as beyond it: a result there has been cut.
    """
    number = x / scale + zero
    q = torch.clamp(torch.round(number), 0, TOP)
    inside = (q > 0) & (q < TOP) if reached else (number >= 0) & (number <= TOP)
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
        return integer_model(nodes, self.shapes, self.weights())

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


def integer_model(
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
    """Return real numbers of which some lie beyond the range, and none where rounding tips over."""
    rng = np.random.default_rng(5)
    return [rng.uniform(-1.9, 1.9, shape).astype(np.float32) for shape in shapes]


def check_case(case: Case, table: Table | None = None) -> None:
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
        assert_close(results[f"grad/{name}"], want, RTOL)
