"""Layer normalisations, also without a mean, and sums fused with them."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.passes.expansions.node_writer import NodeWriter, Results, rank
from onnxcam.graph.passes.expansions.registry import expansion


@expansion("LayerNormalization")
def layer_normalization(op: NodeWriter, node: ir.Node) -> Results:
    """The operator that ONNX has from opset 17 on, which onnxruntime also writes into older files."""
    operands = [op.required(0), op.required(1), op.input(2)]
    kept = op.attributes("axis", "epsilon", "stash_type")
    return op.emit("LayerNormalization", operands, kept, outputs=len(node.outputs))


@expansion("SkipLayerNormalization")
def skip_layer_normalization(op: NodeWriter, node: ir.Node) -> Results:
    """y = layer normalisation of x + skip + bias; the sum is the fourth result."""
    total = _sum(op, op.required(0), op.required(1), op.input(4))
    operands = [total, op.required(2), op.input(3)]
    epsilon = node.attributes.get_float("epsilon", 1e-12)
    y, mean, deviation = op.emit("LayerNormalization", operands, {"axis": -1, "epsilon": epsilon}, outputs=3)
    return y, mean, deviation, total


@expansion("SimplifiedLayerNormalization")
def simplified_layer_normalization(op: NodeWriter, node: ir.Node) -> Results:
    """y = scale x / sqrt(mean of x^2 + epsilon) over the last axes; its inverse is the second result."""
    x, axis = op.required(0), node.attributes.get_int("axis", -1)
    axes = list(range(axis if axis < 0 else axis - rank(x), 0))
    return _divided_by_rms(op, x, op.required(1), axes, node.attributes.get_float("epsilon", 1e-5))


@expansion("SkipSimplifiedLayerNormalization")
def skip_simplified_layer_normalization(op: NodeWriter, node: ir.Node) -> Results:
    """y = simplified layer normalisation of x + skip + bias; the sum is the fourth result."""
    total = _sum(op, op.required(0), op.required(1), op.input(3))
    y, inverse = _divided_by_rms(op, total, op.required(2), [-1], node.attributes.get_float("epsilon", 1e-12))
    return y, None, inverse, total


@expansion("BiasAdd")
def bias_add(op: NodeWriter, node: ir.Node) -> Results:
    """y = x + b + skip."""
    return (op.Add(op.Add(op.required(0), op.required(1)), op.required(2)),)


def _sum(op: NodeWriter, x: ir.Value, skip: ir.Value, bias: ir.Value | None) -> ir.Value:
    """Return x + skip + bias, the bias added to the product that it was the bias of before it was fused."""
    if bias is None:
        return op.Add(x, skip)
    if _is_product(skip) and not _is_product(x):
        return op.Add(x, op.Add(skip, bias))
    return op.Add(op.Add(x, bias), skip)


def _is_product(value: ir.Value) -> bool:
    node = value.producer()
    return node is not None and node.op_type == "MatMul"


def _divided_by_rms(
    op: NodeWriter, x: ir.Value, scale: ir.Value, axes: list[int], epsilon: float
) -> tuple[ir.Value, ir.Value]:
    """Return x divided by its root mean square, times the scale, and the inverse of the root mean square.

    Computed in float32, as in onnxruntime, where the weights are of half precision.
    """
    half = scale.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    raised = op.Cast(x, to=int(ir.DataType.FLOAT)) if half else x
    root = op.Sqrt(op.Add(op.ReduceMean(op.Mul(raised, raised), axes, keepdims=1), epsilon))
    y = op.Div(raised, root)
    return op.Mul(op.CastLike(y, scale) if half else y, scale), op.Reciprocal(root)
