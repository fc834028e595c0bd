"""Activations: those that onnxruntime fuses into other operators, and those fused with a bias."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from onnxcam.graph.passes.expansions.node_writer import NodeWriter, Results, rank
from onnxcam.graph.passes.expansions.registry import expansion

# The activations that onnxruntime fuses, with the attributes that the parameters of the fused operator stand for.
_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "Elu": ("alpha",),
    "LeakyRelu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "HardSwish": (),
}


def activated(op: NodeWriter, x: ir.Value, kind: str, parameters: Sequence[float]) -> ir.Value:
    """Apply the activation that a fused operator names; an empty name is none.

    Raises:
        UnsupportedError: onnxruntime is not known to fuse it.
    """
    if not kind:
        return x
    if kind == "Clip":
        return op.Clip(x, *parameters)
    if kind not in _ACTIVATIONS:
        raise op.refuse(f"the activation {kind}")
    return op.emit(kind, [x], dict(zip(_ACTIVATIONS[kind], parameters, strict=False)))[0]


def _gelu(op: NodeWriter, x: ir.Value) -> ir.Value:
    """Return gelu(x) in the order of operations that onnxruntime fuses back."""
    return op.Mul(op.Mul(x, op.Add(op.Erf(op.Div(x, math.sqrt(2))), 1.0)), 0.5)


@expansion("Gelu")
def gelu(op: NodeWriter, node: ir.Node) -> Results:
    """y = x cdf(x)."""
    return (_gelu(op, op.required(0)),)


@expansion("BiasGelu")
def bias_gelu(op: NodeWriter, node: ir.Node) -> Results:
    """y = gelu(x + b)."""
    return (_gelu(op, op.Add(op.required(0), op.required(1))),)


@expansion("BiasSplitGelu")
def bias_split_gelu(op: NodeWriter, node: ir.Node) -> Results:
    """y = left half times gelu(right half) of x + b."""
    left, right = op.emit("Split", [op.Add(op.required(0), op.required(1))], {"axis": -1, "num_outputs": 2}, outputs=2)
    return (op.Mul(left, _gelu(op, right)),)


@expansion("FastGelu")
def fast_gelu(op: NodeWriter, node: ir.Node) -> Results:
    """y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), of x + b where there is a bias."""
    x, bias = op.required(0), op.input(1)
    x = x if bias is None else op.Add(x, bias)
    c = math.sqrt(2 / math.pi)
    inner = op.Mul(x, op.Add(op.Mul(op.Mul(x, x), c * 0.044715), c))
    return (op.Mul(x, op.Add(op.Mul(op.Tanh(inner), 0.5), 0.5)),)


@expansion("QuickGelu")
def quick_gelu(op: NodeWriter, node: ir.Node) -> Results:
    """y = x sigmoid(alpha x)."""
    x, alpha = op.required(0), node.attributes.get_float("alpha", 1.702)
    return (op.Mul(x, op.Sigmoid(x if alpha == 1 else op.Mul(x, alpha))),)


@expansion("BiasSoftmax")
def bias_softmax(op: NodeWriter, node: ir.Node) -> Results:
    """y = softmax(x + b) over the last axis."""
    x, axis = op.required(0), node.attributes.get_int("axis", 1)
    if axis != -1 and axis % rank(x) != rank(x) - 1:
        raise op.refuse("a softmax over several axes")
    return (op.Softmax(op.Add(x, op.required(1)), axis=-1),)
