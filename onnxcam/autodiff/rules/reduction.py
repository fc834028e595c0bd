"""Reductions over axes."""

from __future__ import annotations

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.reduced import reduction
from onnxcam.autodiff.registry import Cotangents, vjp, zero_gradient

zero_gradient("ArgMax", "ArgMin", reason="its result is a position")

_SINCE = 18  # from here on, axes are an input


@vjp("ReduceSum", since=13)
def reduce_sum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Every term receives dy."""
    over = reduction(op, node)
    return (dy if over is None else over.spread(dy),)


@vjp("ReduceMean", since=_SINCE)
def reduce_mean(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Every term receives dy over their number."""
    over = reduction(op, node)
    return (dy if over is None else over.spread(dy / over.count(dy)),)


@vjp("ReduceMax", "ReduceMin", since=_SINCE)
def reduce_extremum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """The terms that are the extremum share dy evenly."""
    over = reduction(op, node)
    if over is None:
        return (dy,)
    reached = over.reduce(node.x, node.node.op_type) if node.rounds else over.restored(node.y)
    hits = op.cast(op.Equal(node.x, reached), dy.dtype)
    return (hits * (over.restored(dy) / over.reduce(hits)),)


@vjp("ReduceProd", since=_SINCE)
def reduce_prod(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Each term receives dy times the product of the others, right also where terms are zero."""
    over = reduction(op, node)
    if over is None:
        return (dy,)
    x = node.x
    zero = op.Equal(x, 0)
    zeros = over.reduce(op.cast(zero, dy.dtype))
    filled = op.Where(zero, 1, x)
    others = over.reduce(filled, "ReduceProd") / filled
    # With one zero only that term has a product of others; with two, none has.
    alive = op.Equal(zeros, op.cast(zero, dy.dtype))
    return (op.Where(alive, others * over.restored(dy), 0),)


@vjp("ReduceL1", since=_SINCE)
def reduce_l1(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = sum |x|: dx = dy sign(x)."""
    over = reduction(op, node)
    return (op.Sign(node.x) * (dy if over is None else over.restored(dy)),)


@vjp("ReduceL2", since=_SINCE)
def reduce_l2(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = sqrt(sum x^2): dx = dy x / y, 0 where y = 0."""
    over = reduction(op, node)
    if over is None:
        return (op.Sign(node.x) * dy,)
    y, dy = over.restored(node.y), over.restored(dy)
    return (node.x * op.Where(op.Equal(y, 0), 0, dy / op.Where(op.Equal(y, 0), 1, y)),)


@vjp("ReduceSumSquare", since=_SINCE)
def reduce_sum_square(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = sum x^2: dx = 2 x dy."""
    over = reduction(op, node)
    return (node.x * 2 * (dy if over is None else over.restored(dy)),)


@vjp("ReduceLogSum", since=_SINCE)
def reduce_log_sum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = log(sum x): dx = dy e^-y."""
    over = reduction(op, node)
    share = dy * op.Exp(-node.y)
    return (share if over is None else over.spread(share),)


@vjp("ReduceLogSumExp", since=_SINCE)
def reduce_log_sum_exp(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = log(sum e^x): dx = dy e^(x - y)."""
    over = reduction(op, node)
    if over is None:
        return (dy,)
    return (op.Exp(node.x - over.restored(node.y)) * over.restored(dy),)


@vjp("CumSum", since=11)
def cum_sum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Running sum: dx is the running sum of dy from the other end."""
    reverse, exclusive = node.integer("reverse", 0), node.integer("exclusive", 0)
    return (op.CumSum(dy, node.raw(1), reverse=1 - reverse, exclusive=exclusive),)
