"""Operators that repeat numbers, mask them, or fill with them."""

from __future__ import annotations

import numpy as np

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, vjp


@vjp("Tile", since=6)
def tile(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x, repeated along each axis: the sum over the repetitions."""
    rank = node.rank()
    if rank == 0:
        return (dy,)
    parts: list[int | Var] = []
    for axis in range(rank):
        known = node.constant(1)
        repeats = op.Slice(node.raw(1), [axis], [axis + 1], [0]) if known is None else int(np.ravel(known)[axis])
        parts += [repeats, shapes.dim(op, node.raw(0), axis)]
    apart = op.Reshape(dy, shapes.sizes_tensor(op, parts), allowzero=1)
    return (op.ReduceSum(apart, list(range(0, 2 * rank, 2)), keepdims=0),)


@vjp("Trilu", since=14)
def trilu(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """One triangle of each matrix, zeros elsewhere: the same triangle of dy."""
    k = node.raw(1) if node.has(1) else None
    return (op.Trilu(dy, k, upper=node.integer("upper", 1)),)


@vjp("OneHot", since=9, inputs=[0, 2])
def one_hot(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = on where the index points, off elsewhere: the sums of dy over those positions."""
    axis = node.integer("axis", -1)
    pair = op.const(np.array([0, 1]), dy.dtype)
    hot = op.emit("OneHot", [node.raw(0), node.raw(1), pair], {"axis": axis}, dtype=dy.dtype)
    on = op.Reshape(op.ReduceSum(dy * hot, keepdims=0), [1])
    index = shapes.zeros_like(op, node.raw(0), dy) if node.needs(0) else None
    return index, None, op.Concat(op.Reshape(op.ReduceSum(dy, keepdims=0), [1]) - on, on, axis=0)


@vjp("Mod", since=10, broadcasts=True)
def mod(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = a - b trunc(a / b): da = dy, db = -dy (a - y) / b. Subgradient of trunc 0 at its steps."""
    a, b = node.input(0), node.input(1)
    return dy, (-(dy * ((a - node.y) / b)) if node.needs(1) else None)
