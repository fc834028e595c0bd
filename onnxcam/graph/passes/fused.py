"""Convolutions, products, activations and normalisations that onnxruntime has fused."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from onnxcam.graph.passes.expand_fused import Attribute, Results, Writer, expansion, rank

_CONVOLUTION = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
# The activations that onnxruntime fuses, with the attributes that its parameters are.
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


def _kept(node: ir.Node, names: Sequence[str]) -> dict[str, Attribute]:
    return {name: node.attributes[name] for name in names if name in node.attributes}


def _activated(op: Writer, x: ir.Value, kind: str, parameters: Sequence[float]) -> ir.Value:
    if not kind:
        return x
    if kind == "Clip":
        return op.Clip(x, *parameters)
    if kind not in _ACTIVATIONS:
        raise op.refuse(f"the activation {kind}")
    return op.emit(kind, [x], dict(zip(_ACTIVATIONS[kind], parameters, strict=False)))[0]


@expansion("FusedConv")
def fused_conv(op: Writer, node: ir.Node) -> Results:
    """y = activation(W * x + b + z)."""
    operands = [op.required(0), op.required(1), op.input(2)]
    y = op.Conv(*operands if operands[2] is not None else operands[:2], **_kept(node, _CONVOLUTION))
    residual = op.input(3)
    if residual is not None:
        y = op.Add(y, residual)
    parameters = node.attributes.get_floats("activation_params", [])
    return (_activated(op, y, node.attributes.get_string("activation", ""), parameters),)


@expansion("NhwcConv", "NhwcFusedConv")
def nhwc_conv(op: Writer, node: ir.Node) -> Results:
    """y = activation(W * x + b + z) with channels last; the weight keeps them second, or has them last too."""
    weight = op.required(1)
    if rank(weight) != 4:
        raise op.refuse(f"a kernel of rank {rank(weight)}")
    kernel, sizes = list(node.attributes.get_ints("kernel_shape", [])), list(weight.shape or ())
    if kernel and sizes[2:] != kernel and sizes[1:3] == kernel:
        weight = op.Transpose(weight, perm=[0, 3, 1, 2])
    operands = [op.Transpose(op.required(0), perm=[0, 3, 1, 2]), weight, op.input(2)]
    y = op.Conv(*operands if operands[2] is not None else operands[:2], **_kept(node, _CONVOLUTION))
    y = op.Transpose(y, perm=[0, 2, 3, 1])
    residual = op.input(3)
    if residual is not None:
        y = op.Add(y, residual)
    parameters = node.attributes.get_floats("activation_params", [])
    return (_activated(op, y, node.attributes.get_string("activation", ""), parameters),)


@expansion("FusedGemm")
def fused_gemm(op: Writer, node: ir.Node) -> Results:
    """y = activation(alpha A' B' + beta C)."""
    operands = [op.required(0), op.required(1), op.input(2)]
    names = ("alpha", "beta", "transA", "transB")
    y = op.Gemm(*operands if operands[2] is not None else operands[:2], **_kept(node, names))
    return (_activated(op, y, node.attributes.get_string("activation", ""), _parameters(node)),)


def _parameters(node: ir.Node) -> list[float]:
    names = [name for name in ("activation_alpha", "activation_beta", "activation_gamma") if name in node.attributes]
    return [node.attributes.get_float(name, 0.0) for name in names]


@expansion("FusedMatMul", "TransposeMatMul")
def fused_matmul(op: Writer, node: ir.Node) -> Results:
    """y = alpha A' B', where ' moves the first axis behind the batch axes, exchanges the last two, or both."""
    attributes = node.attributes
    a = _moved(op, op.required(0), attributes.get_int("transBatchA", 0), attributes.get_int("transA", 0))
    b = _moved(op, op.required(1), attributes.get_int("transBatchB", 0), attributes.get_int("transB", 0))
    y, alpha = op.MatMul(a, b), attributes.get_float("alpha", 1.0)
    return (y if alpha == 1 else op.Mul(y, alpha),)


def _moved(op: Writer, x: ir.Value, batch: int, last: int) -> ir.Value:
    if not batch and not last:
        return x
    axes = list(range(rank(x)))
    if len(axes) < 2:
        return x
    if batch:
        axes = [*axes[1:-1], axes[0], axes[-1]]
    if last:
        axes[-2], axes[-1] = axes[-1], axes[-2]
    return op.Transpose(x, perm=axes)


def _gelu(op: Writer, x: ir.Value) -> ir.Value:
    """In the order of operations that onnxruntime fuses back."""
    return op.Mul(op.Mul(x, op.Add(op.Erf(op.Div(x, math.sqrt(2))), 1.0)), 0.5)


@expansion("Gelu")
def gelu(op: Writer, node: ir.Node) -> Results:
    """y = x cdf(x)."""
    return (_gelu(op, op.required(0)),)


@expansion("BiasGelu")
def bias_gelu(op: Writer, node: ir.Node) -> Results:
    """y = gelu(x + b)."""
    return (_gelu(op, op.Add(op.required(0), op.required(1))),)


@expansion("BiasSplitGelu")
def bias_split_gelu(op: Writer, node: ir.Node) -> Results:
    """y = left half times gelu(right half) of x + b."""
    left, right = op.emit("Split", [op.Add(op.required(0), op.required(1))], {"axis": -1, "num_outputs": 2}, outputs=2)
    return (op.Mul(left, _gelu(op, right)),)


@expansion("FastGelu")
def fast_gelu(op: Writer, node: ir.Node) -> Results:
    """y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), of x + b where there is a bias."""
    x, bias = op.required(0), op.input(1)
    x = x if bias is None else op.Add(x, bias)
    c = math.sqrt(2 / math.pi)
    inner = op.Mul(x, op.Add(op.Mul(op.Mul(x, x), c * 0.044715), c))
    return (op.Mul(x, op.Add(op.Mul(op.Tanh(inner), 0.5), 0.5)),)


@expansion("QuickGelu")
def quick_gelu(op: Writer, node: ir.Node) -> Results:
    """y = x sigmoid(alpha x)."""
    x, alpha = op.required(0), node.attributes.get_float("alpha", 1.702)
    return (op.Mul(x, op.Sigmoid(x if alpha == 1 else op.Mul(x, alpha))),)


@expansion("BiasAdd")
def bias_add(op: Writer, node: ir.Node) -> Results:
    """y = x + b + skip."""
    return (op.Add(op.Add(op.required(0), op.required(1)), op.required(2)),)


@expansion("BiasSoftmax")
def bias_softmax(op: Writer, node: ir.Node) -> Results:
    """y = softmax(x + b) over the last axis."""
    x, axis = op.required(0), node.attributes.get_int("axis", 1)
    if axis != -1 and axis % rank(x) != rank(x) - 1:
        raise op.refuse("a softmax over several axes")
    return (op.Softmax(op.Add(x, op.required(1)), axis=-1),)


@expansion("LayerNormalization")
def layer_normalization(op: Writer, node: ir.Node) -> Results:
    """As ONNX's own from opset 17 on; onnxruntime writes it into older files."""
    operands = [op.required(0), op.required(1), op.input(2)]
    kept = _kept(node, ("axis", "epsilon", "stash_type"))
    return op.emit("LayerNormalization", operands, kept, outputs=len(node.outputs))


@expansion("SkipLayerNormalization")
def skip_layer_normalization(op: Writer, node: ir.Node) -> Results:
    """y = layer normalisation of x + skip + bias; the sum is the fourth result."""
    total = _sum(op, [op.required(0), op.required(1), op.input(4)])
    operands = [total, op.required(2), op.input(3)]
    epsilon = node.attributes.get_float("epsilon", 1e-12)
    y, mean, deviation = op.emit("LayerNormalization", operands, {"axis": -1, "epsilon": epsilon}, outputs=3)
    return y, mean, deviation, total


@expansion("SimplifiedLayerNormalization")
def simplified_layer_normalization(op: Writer, node: ir.Node) -> Results:
    """y = scale x / sqrt(mean of x^2 + epsilon) over the last axes; its inverse is the second result."""
    x, axis = op.required(0), node.attributes.get_int("axis", -1)
    axes = list(range(axis if axis < 0 else axis - rank(x), 0))
    return _divided_by_rms(op, x, op.required(1), axes, node.attributes.get_float("epsilon", 1e-5))


@expansion("SkipSimplifiedLayerNormalization")
def skip_simplified_layer_normalization(op: Writer, node: ir.Node) -> Results:
    """y = simplified layer normalisation of x + skip + bias; the sum is the fourth result."""
    total = _sum(op, [op.required(0), op.required(1), op.input(3)])
    y, inverse = _divided_by_rms(op, total, op.required(2), [-1], node.attributes.get_float("epsilon", 1e-12))
    return y, None, inverse, total


def _sum(op: Writer, terms: Sequence[ir.Value | None]) -> ir.Value:
    first, *rest = [term for term in terms if term is not None]
    for term in rest:
        first = op.Add(first, term)
    return first


def _divided_by_rms(
    op: Writer, x: ir.Value, scale: ir.Value, axes: list[int], epsilon: float
) -> tuple[ir.Value, ir.Value]:
    """Compute in float32, as onnxruntime does, where the weights are of half precision."""
    half = scale.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    raised = op.Cast(x, to=int(ir.DataType.FLOAT)) if half else x
    root = op.Sqrt(op.Add(op.ReduceMean(op.Mul(raised, raised), axes, keepdims=1), epsilon))
    y = op.Div(raised, root)
    return op.Mul(op.CastLike(y, scale) if half else y, scale), op.Reciprocal(root)
