"""Reductions over axes."""

from __future__ import annotations

from math import prod

from onnxcam.autodiff import lowering, shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.registry import Cotangents, vjp, zero_gradient

zero_gradient("ArgMax", "ArgMin", reason="its result is a position")

_SINCE = 18  # from here on, axes are an input


def reduced_axes(node: NodeView) -> list[int] | None:
    """Return the axes that are summed, non-negative, or None where the operator does nothing.

    Raises:
        UnknownShapeError: the axes are computed while the graph runs.
    """
    rank = node.rank()
    if not node.has(1):
        axes = node.integers("axes")
    else:
        fixed = node.constant(1)
        if fixed is None:
            raise UnknownShapeError("its axes are not fixed in the file")
        axes = [int(axis) for axis in fixed]
    if not axes:
        return None if node.integer("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in axes)


def restored(op: Builder, node: NodeView, reduced: Var, axes: list[int]) -> Var:
    """Return a reduced value with its summed axes back as axes of size 1."""
    return reduced if node.integer("keepdims", 1) else op.Unsqueeze(reduced, axes)


def _count(op: Builder, node: NodeView, axes: list[int], like: Var) -> Var:
    sizes = [shapes.dim(op, node.raw(0), axis) for axis in axes]
    if all(isinstance(size, int) for size in sizes):
        return op.const(prod(size for size in sizes if isinstance(size, int)), like.dtype)
    return op.cast(op.ReduceProd(shapes.sizes_tensor(op, sizes), keepdims=0), like.dtype)


def _spread(op: Builder, node: NodeView, dy: Var, axes: list[int]) -> Var:
    x = node.raw(0)
    if axes == [2, 3] and x.shape and lowering.map_sizes(x.shape):
        return lowering.spread(op, restored(op, node, dy, axes), x.shape)
    return op.Expand(restored(op, node, dy, axes), shapes.shape_tensor(op, x))


@vjp("ReduceSum", since=13)
def reduce_sum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Every term receives dy."""
    axes = reduced_axes(node)
    return (dy if axes is None else _spread(op, node, dy, axes),)


@vjp("ReduceMean", since=_SINCE)
def reduce_mean(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Every term receives dy over their number."""
    axes = reduced_axes(node)
    return (dy if axes is None else _spread(op, node, dy / _count(op, node, axes, dy), axes),)


@vjp("ReduceMax", "ReduceMin", since=_SINCE)
def reduce_extremum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """The terms that are the extremum share dy evenly."""
    axes = reduced_axes(node)
    if axes is None:
        return (dy,)
    hits = op.cast(op.Equal(node.x, _reached(op, node, axes)), dy.dtype)
    return (hits * (restored(op, node, dy, axes) / op.ReduceSum(hits, axes, keepdims=1)),)


def _reached(op: Builder, node: NodeView, axes: list[int]) -> Var:
    """Return the extremum, as axes of size 1."""
    if node.rounds:
        return op.emit(node.node.op_type, [node.x, axes], {"keepdims": 1})
    return restored(op, node, node.y, axes)


@vjp("ReduceProd", since=_SINCE)
def reduce_prod(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Each term receives dy times the product of the others, right also where terms are zero."""
    axes = reduced_axes(node)
    if axes is None:
        return (dy,)
    x = node.x
    zero = op.Equal(x, 0)
    zeros = op.ReduceSum(op.cast(zero, dy.dtype), axes, keepdims=1)
    filled = op.Where(zero, 1, x)
    others = op.ReduceProd(filled, axes, keepdims=1) / filled
    # With one zero only that term has a product of others; with two, none has.
    alive = op.Equal(zeros, op.cast(zero, dy.dtype))
    return (op.Where(alive, others * restored(op, node, dy, axes), 0),)


@vjp("ReduceL1", since=_SINCE)
def reduce_l1(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = sum |x|: dx = dy sign(x)."""
    axes = reduced_axes(node)
    return (op.Sign(node.x) * (dy if axes is None else restored(op, node, dy, axes)),)


@vjp("ReduceL2", since=_SINCE)
def reduce_l2(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = sqrt(sum x^2): dx = dy x / y, 0 where y = 0."""
    axes = reduced_axes(node)
    if axes is None:
        return (op.Sign(node.x) * dy,)
    y, dy = restored(op, node, node.y, axes), restored(op, node, dy, axes)
    return (node.x * op.Where(op.Equal(y, 0), 0, dy / op.Where(op.Equal(y, 0), 1, y)),)


@vjp("ReduceSumSquare", since=_SINCE)
def reduce_sum_square(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = sum x^2: dx = 2 x dy."""
    axes = reduced_axes(node)
    return (node.x * 2 * (dy if axes is None else restored(op, node, dy, axes)),)


@vjp("ReduceLogSum", since=_SINCE)
def reduce_log_sum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = log(sum x): dx = dy e^-y."""
    axes = reduced_axes(node)
    share = dy * op.Exp(-node.y)
    return (share if axes is None else _spread(op, node, share, axes),)


@vjp("ReduceLogSumExp", since=_SINCE)
def reduce_log_sum_exp(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = log(sum e^x): dx = dy e^(x - y)."""
    axes = reduced_axes(node)
    if axes is None:
        return (dy,)
    return (op.Exp(node.x - restored(op, node, node.y, axes)) * restored(op, node, dy, axes),)


@vjp("CumSum", since=11)
def cum_sum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Running sum: dx is the running sum of dy from the other end."""
    reverse, exclusive = node.integer("reverse", 0), node.integer("exclusive", 0)
    return (op.CumSum(dy, node.raw(1), reverse=1 - reverse, exclusive=exclusive),)
