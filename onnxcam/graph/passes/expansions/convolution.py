"""Convolutions fused with an activation and a residual, also with channels last."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.passes.expansions.activation import activated
from onnxcam.graph.passes.expansions.node_writer import NodeWriter, Results, rank
from onnxcam.graph.passes.expansions.registry import expansion

_CONVOLUTION = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


@expansion("FusedConv")
def fused_conv(op: NodeWriter, node: ir.Node) -> Results:
    """y = activation(W * x + b + z)."""
    operands = [op.required(0), op.required(1), op.input(2)]
    y = op.Conv(*operands if operands[2] is not None else operands[:2], **op.attributes(*_CONVOLUTION))
    return (_with_residual(op, node, y),)


@expansion("NhwcConv", "NhwcFusedConv")
def nhwc_conv(op: NodeWriter, node: ir.Node) -> Results:
    """y = activation(W * x + b + z) with channels last; the weight keeps them second, or has them last too."""
    weight = op.required(1)
    if rank(weight) != 4:
        raise op.refuse(f"a kernel of rank {rank(weight)}")
    kernel, sizes = list(node.attributes.get_ints("kernel_shape", [])), list(weight.shape or ())
    if kernel and sizes[2:] != kernel and sizes[1:3] == kernel:
        weight = op.Transpose(weight, perm=[0, 3, 1, 2])
    operands = [op.Transpose(op.required(0), perm=[0, 3, 1, 2]), weight, op.input(2)]
    y = op.Conv(*operands if operands[2] is not None else operands[:2], **op.attributes(*_CONVOLUTION))
    y = op.Transpose(y, perm=[0, 2, 3, 1])
    return (_with_residual(op, node, y),)


def _with_residual(op: NodeWriter, node: ir.Node, y: ir.Value) -> ir.Value:
    """Add the residual, if the node has one, then apply its activation."""
    residual = op.input(3)
    if residual is not None:
        y = op.Add(y, residual)
    parameters = node.attributes.get_floats("activation_params", [])
    return activated(op, y, node.attributes.get_string("activation", ""), parameters)
