"""Operators that read or write single positions by index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, constant_output, vjp
from onnxcam.errors import UnsupportedError

constant_output("TopK", 1)


def added_at(op: Builder, dy: Var, index: Var, x: Var, axis: int) -> Var:
    """Return zeros of the shape of ``x``, with each number of ``dy`` added at its position along the axis."""
    zeros = shapes.zeros_like(op, x, dy)
    return op.ScatterElements(zeros, op.cast(index, ir.DataType.INT64), dy, axis=axis, reduction="add")


@vjp("GatherElements", since=11)
def gather_elements(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y[p] = x[p with the index along the axis]: dy is added where each number was read."""
    return (added_at(op, dy, node.raw(1), node.raw(0), node.integer("axis", 0)),)


@vjp("GatherND", since=11)
def gather_nd(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = slices of x at index tuples: dy is added where each was read; batch axes join the tuples."""
    index, batch = op.cast(node.raw(1), ir.DataType.INT64), node.integer("batch_dims", 0)
    if batch:
        rank = node.rank(1)
        sizes = op.Shape(index, start=0, end=rank - 1)
        wide = op.Concat(sizes, op.ints([1]), axis=0)
        own = [op.Expand(shapes.index_along(op, index, axis, rank), wide) for axis in range(batch)]
        index = op.Concat(*own, index, axis=-1)
    return (op.ScatterND(shapes.zeros_like(op, node.raw(0), dy), index, dy, reduction="add"),)


@vjp("ScatterElements", since=11)
def scatter_elements(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x with u written, added or compared by index: du = dy read there, dx = dy, without what was written over."""
    axis, index = node.integer("axis", 0), op.cast(node.raw(1), ir.DataType.INT64)
    access = _Access(
        lambda x: op.GatherElements(x, index, axis=axis),
        lambda x, u, reduction: op.ScatterElements(x, index, u, axis=axis, reduction=reduction),
    )
    return _scattered(op, node, access, index, dy)


@vjp("ScatterND", since=11)
def scatter_nd(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x with slices u written, added or compared at index tuples: du = dy read there, dx as for ScatterElements."""
    index = op.cast(node.raw(1), ir.DataType.INT64)
    access = _Access(
        lambda x: op.GatherND(x, index), lambda x, u, reduction: op.ScatterND(x, index, u, reduction=reduction)
    )
    return _scattered(op, node, access, node.raw(2), dy)


@dataclass(frozen=True)
class _Access:
    """How numbers are read and written at an index."""

    read: Callable[[Var], Var]
    write: Callable[[Var, Var, str], Var]


def _scattered(op: Builder, node: NodeView, access: _Access, like: Var, dy: Var) -> Cotangents:
    reduction = node.text("reduction", "none")
    if reduction == "mul":
        raise UnsupportedError(
            f"{node.node.op_type} '{node.node.name}': reduction 'mul' has no gradient rule (its derivative divides by "
            "what it multiplies, which may be 0); choose a later layer (closer to the output), or a method without "
            "gradient"
        )
    if reduction in ("max", "min"):
        return _compared(op, node, access, reduction, dy)
    dx = dy
    if reduction == "none" and node.needs(0):
        dx = access.write(dy, shapes.zeros_like(op, like, dy), "none")
    return dx, None, access.read(dy) if node.needs(2) else None


def _compared(op: Builder, node: NodeView, access: _Access, reduction: str, dy: Var) -> Cotangents:
    """Largest or smallest of all that meet at a position: those that are share its cotangent evenly, as in ``Max``."""
    x, u = node.x, node.input(2)
    y = access.write(x, u, reduction) if node.rounds else node.y
    won_x, won_u = op.cast(op.Equal(x, y), dy.dtype), op.cast(op.Equal(u, access.read(y)), dy.dtype)
    share = dy / access.write(won_x, won_u, "add")
    return share * won_x, None, access.read(share) * won_u


@vjp("TopK", since=10)
def top_k(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = the largest numbers along an axis: dy at the positions that they were taken from."""
    return (added_at(op, dy, op.var(node.node.outputs[1]), node.raw(0), node.integer("axis", -1)),)


@vjp("Compress", since=9)
def compress(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = the slices of x whose condition is true: dy back where they were."""
    kept = op.Reshape(op.NonZero(node.raw(1)), [-1])
    axis = node.node.attributes.get_int("axis", None)
    x = node.raw(0)
    if axis is None:
        count = op.Reshape(op.Size(x), [1])
        flat = op.Expand(op.const(0, dy.dtype), count)
        return (shapes.reshape_like(op, op.ScatterElements(flat, kept, dy, axis=0), x),)
    rank = node.rank()
    index = op.Reshape(kept, [-1 if a == axis % rank else 1 for a in range(rank)])
    return (added_at(op, dy, op.Expand(index, op.Shape(dy)), x, axis),)


@vjp("ReverseSequence", since=10)
def reverse_sequence(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """The first steps of each sequence in reverse order: their reversal again."""
    axes = {"batch_axis": node.integer("batch_axis", 1), "time_axis": node.integer("time_axis", 0)}
    return (op.ReverseSequence(dy, node.raw(1), **axes),)


@vjp("MaxUnpool", since=9)
def max_unpool(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = zeros with x written at flat positions of each sample's whole result: dy read there."""
    index = op.cast(node.raw(1), ir.DataType.INT64)
    picked = op.Gather(op.Reshape(dy, [-1]), op.Reshape(_moved(op, node, index), [-1]), axis=0)
    return (shapes.reshape_like(op, picked, node.raw(0)),)


def _moved(op: Builder, node: NodeView, index: Var) -> Var:
    """Return flat positions in the result as it is.

    Positions count as in the tensor that kernel, strides and pads give, which ``output_shape`` may enlarge.
    """
    if not node.has(2):
        return index
    rank = node.rank()
    kernel = node.integers("kernel_shape") or []
    strides, pads = node.integers("strides") or [1] * len(kernel), node.integers("pads") or [0] * (2 * len(kernel))
    rest, position = index, op.const(np.int64(0))
    # From the last axis on: the remainder is the position along it.
    scale: Var = op.const(np.int64(1))
    for axis in reversed(range(rank)):
        size: Var = op.Squeeze(shapes.dim_tensor(op, node.raw(0), axis), [0])
        if axis >= 2:
            i = axis - 2
            size = (size - 1) * strides[i] + (kernel[i] - pads[i] - pads[i + len(kernel)])
        position = position + op.Mod(rest, size) * scale
        rest = op.Div(rest, size)
        scale = scale * op.Squeeze(shapes.dim_tensor(op, op.var(node.node.outputs[0]), axis), [0])
    return position
