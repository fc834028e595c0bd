"""Graphs of ONNX text, differentiated, checked and run; and the check that a value read several times gets the sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx import parser

from onnxcam.autodiff.differentiate import Seed, add_gradients
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime, Reference, differentiate
from tests.helpers.sample import Array

X = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])
_HEAD = '<ir_version: 8, opset_import: ["" : {opset}]>'


def parse(text: str, opset: int = 18) -> onnx.ModelProto:
    """Return a model of ONNX text."""
    return parser.parse_model(_HEAD.format(opset=opset) + text)


def gradients(
    model: onnx.ModelProto, of: str, wrt: Sequence[str], feeds: Mapping[str, Array], seed: Seed = "cotangent"
) -> dict[str, Array]:
    """Differentiate, check and run."""
    proto = ir.to_proto(add_gradients(canonicalize(ir.from_proto(model)), of, wrt, seed))
    onnx.checker.check_model(proto, full_check=True)
    return OnnxRuntime(proto)(feeds)


def check_fan_in() -> None:
    """A value that is read four times, once by one node twice, receives the sum.

    Raises:
        AssertionError: it does not.
    """
    model = parse("g (double[2,3] x) => (double[2,3] y) { a = Mul(x, x) b = Exp(x) c = Add(a, b) y = Mul(c, x) }")
    proto = differentiate(model, "y", ["x"])
    ones = np.ones((2, 3), np.float32)
    found = Reference(proto)({"x": X, "cotangent": ones})["grad/x"]
    np.testing.assert_allclose(found, 3 * X**2 + np.exp(X) * (1 + X), rtol=1e-9)


CHAIN = "g (float[N,3] x) => (float[N,3] y) { a = Exp(x) b = Sin(a) y = Mul(b, a) }"
