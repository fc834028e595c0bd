"""Quantised products that onnxruntime has fused with what makes their operands integers and their result real."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.passes.expansions.node_writer import NodeWriter, Results
from onnxcam.graph.passes.expansions.registry import expansion


@expansion("MatMulIntegerToFloat")
def matmul_integer_to_float(op: NodeWriter, node: ir.Node) -> Results:
    """y = (A - za) (B - zb) sa sb + bias."""
    scale = op.Mul(op.required(2), op.required(3))
    return (_product(op, op.required(0), op.required(1), op.input(4), op.input(5), scale, op.input(6)),)


@expansion("DynamicQuantizeMatMul")
def dynamic_quantize_matmul(op: NodeWriter, node: ir.Node) -> Results:
    """y = (A - za) (B - zb) sa sb + bias, A quantised by its own range."""
    a, a_scale, a_zero = op.emit("DynamicQuantizeLinear", [op.required(0)], {}, outputs=3)
    scale = op.Mul(a_scale, op.required(2))
    return (_product(op, a, op.required(1), a_zero, op.input(3), scale, op.input(4)),)


def _product(
    op: NodeWriter,
    a: ir.Value,
    b: ir.Value,
    a_zero: ir.Value | None,
    b_zero: ir.Value | None,
    scale: ir.Value,
    bias: ir.Value | None,
) -> ir.Value:
    total = op.CastLike(op.MatMulInteger(a, b, a_zero, b_zero), scale)
    y = op.Mul(total, scale)
    return y if bias is None else op.Add(y, bias)
