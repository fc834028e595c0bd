"""Matrix products fused with an activation, a factor or transposed operands."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.passes.expansions.activation import activated
from onnxcam.graph.passes.expansions.node_writer import NodeWriter, Results, rank
from onnxcam.graph.passes.expansions.registry import expansion


@expansion("FusedGemm")
def fused_gemm(op: NodeWriter, node: ir.Node) -> Results:
    """y = activation(alpha A' B' + beta C)."""
    operands = [op.required(0), op.required(1), op.input(2)]
    attributes = op.attributes("alpha", "beta", "transA", "transB")
    y = op.Gemm(*operands if operands[2] is not None else operands[:2], **attributes)
    return (activated(op, y, node.attributes.get_string("activation", ""), _parameters(node)),)


def _parameters(node: ir.Node) -> list[float]:
    names = [name for name in ("activation_alpha", "activation_beta", "activation_gamma") if name in node.attributes]
    return [node.attributes.get_float(name, 0.0) for name in names]


@expansion("FusedMatMul", "TransposeMatMul")
def fused_matmul(op: NodeWriter, node: ir.Node) -> Results:
    """y = alpha A' B', where ' moves the first axis after the batch axes, exchanges the last two, or both."""
    attributes = node.attributes
    a = _moved(op, op.required(0), attributes.get_int("transBatchA", 0), attributes.get_int("transA", 0))
    b = _moved(op, op.required(1), attributes.get_int("transBatchB", 0), attributes.get_int("transB", 0))
    y, alpha = op.MatMul(a, b), attributes.get_float("alpha", 1.0)
    return (y if alpha == 1 else op.Mul(y, alpha),)


def _moved(op: NodeWriter, x: ir.Value, batch: int, last: int) -> ir.Value:
    """Transpose an operand: move its first axis where ``batch`` is set, exchange the last two where ``last`` is."""
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
