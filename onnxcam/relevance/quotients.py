"""Arithmetic that rules of relevance share: relevance divided by sums, and taken apart again."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff import lowering
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.errors import UnsupportedError


def divided(op: Builder, r: Var, z: Var, stabilizer: float) -> Var:
    """Return ``r / z`` with the size of ``z`` raised by a stabilizer; with none, 0 where ``z`` is 0.

    Written with masks that onnxruntime keeps in the blocked layout of its convolutions, which it leaves for Where.
    """
    if stabilizer:
        return r / (z + (lowering.step_down(op, z, 0.0) * (-2 * stabilizer) + stabilizer))
    some = lowering.step(op, z) + lowering.step_down(op, z, 0.0)
    return r * some / (z + lowering.complement(op, some))


def unshared(op: Builder, r: Var, z: Var) -> Var:
    """Return the relevance of sums that are 0, which no share receives."""
    return r * lowering.complement(op, lowering.step(op, z) + lowering.step_down(op, z, 0.0))


def factor(op: Builder, r: Var, value: ir.Value) -> Var | None:
    """Return what relevance is times a value, where it has just been written as such a product or a sum of them."""
    node = r.value.producer()
    if node is None or not op.wrote(r.value):
        return None
    if node.op_type == "Mul" and value in node.inputs:
        other = node.inputs[1 if node.inputs[0] is value else 0]
        return None if other is None else op.var(other)
    if node.op_type != "Sum":
        return None
    parts = [None if entry is None else factor(op, op.var(entry), value) for entry in node.inputs]
    found = [part for part in parts if part is not None]
    return like(op.Sum(*found), r) if len(found) == len(parts) else None


def like(var: Var, other: Var) -> Var:
    """Set the shape of a value that was just written to that of another one: rules of derivatives read it."""
    if var.value is not other.value and var.value.shape is None:
        var.value.shape = copied_shape(other.value.shape)
    return var


def copied_shape(shape: ir.Shape | None) -> ir.Shape | None:
    """Return a copy of a shape, for a value of its own."""
    return None if shape is None else shape.copy()


def refuse(node: NodeView, why: str) -> UnsupportedError:
    """Return the error for an operator that relevance cannot pass as it stands."""
    name = node.node.name or node.node.outputs[0].name
    return UnsupportedError(
        f"no rule of relevance for {node.node.op_type} '{name}': {why}; use a gradient method such as hires-cam"
    )
