"""Normalisations: subtract a mean, divide by a deviation, scale and shift.

    y = scale z + bias  =>  dz = dy scale, dscale = dy z, dbias = dy

summed over what shares them; both are mostly fixed in the file and then not differentiated. With ``fixed`` a rule takes
the deviation for a constant, as relevance does: then only the mean is differentiated.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var, shape_of
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, vjp


def per_channel(op: Builder, parameter: Var, rank: int) -> Var:
    """Return ``[C]`` in a shape that broadcasts over ``[N, C, *spatial]``."""
    return op.Reshape(parameter, [1, -1, *[1] * (rank - 2)])


def normalized_vjp(
    op: Builder, x: Var, dz: Var, axes: list[int], epsilon: float, *, centred: bool = True, fixed: bool = False
) -> tuple[Var, Var]:
    """Return dx and z for ``z = (x - mean) / sqrt(var + epsilon)`` over ``axes``; without ``centred``, of ``x / rms``.

    ``dx = r (dz - mean(dz) - z mean(dz z))`` with ``r = 1 / sqrt(var + epsilon)``; the first mean falls away without
    ``centred``, and the second one where the deviation counts as ``fixed``.
    """
    if centred:
        x = x - op.ReduceMean(x, axes, keepdims=1)
    deviation = op.Sqrt(op.ReduceMean(x * x, axes, keepdims=1) + epsilon)
    z = x / deviation
    along = None if fixed else z * op.ReduceMean(dz * z, axes, keepdims=1)
    if centred:
        dz = dz - op.ReduceMean(dz, axes, keepdims=1)
    return (dz if along is None else dz - along) / deviation, z


def _channel_sum(op: Builder, x: Var, rank: int) -> Var:
    """Return ``[N, C, *spatial]`` summed to ``[C]``."""
    return op.ReduceSum(x, [0, *range(2, rank)], keepdims=0)


def _scale_and_bias(node: NodeView, dy: Var, z: Var, total: Callable[[Var, int], Var]) -> list[Var | None]:
    """Return the cotangents of scale and bias where these are computed.

    ``total`` sums over all that share one number of an input.
    """
    dscale = total(dy * z, 1) if node.needs(1) else None
    return [dscale, total(dy, 2) if node.needs(2) else None]


@vjp("BatchNormalization", since=9)
def batch_normalization(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = scale (x - mean) / sqrt(var + eps) + b with given statistics: one factor a channel."""
    scale, var = op.cast(node.input(1), dy.dtype), op.cast(node.input(4), dy.dtype)
    spread = var + node.number("epsilon", 1e-5)
    deviation = op.Sqrt(spread)
    factor = scale / deviation
    dx = dy * per_channel(op, factor, node.rank()) if node.needs(0) else None
    if not any(map(node.needs, range(1, 5))):
        return (dx,)
    total = _channel_sum(op, dy, node.rank())
    mean = op.cast(node.input(3), dy.dtype)
    along = _channel_sum(op, dy * (node.x - per_channel(op, mean, node.rank())), node.rank())
    return dx, along / deviation, total, -factor * total, factor * along * -0.5 / spread


@vjp("InstanceNormalization", since=6)
def instance_normalization(op: Builder, node: NodeView, dy: Var, *, fixed: bool = False) -> Cotangents:
    """Normalised over the positions of each channel of each sample."""
    rank = node.rank()
    dz = dy * per_channel(op, node.input(1), rank)
    dx, z = normalized_vjp(op, node.x, dz, list(range(2, rank)), node.number("epsilon", 1e-5), fixed=fixed)
    return dx, *_scale_and_bias(node, dy, z, lambda terms, _: _channel_sum(op, terms, rank))


@vjp("LayerNormalization", since=17)
def layer_normalization(op: Builder, node: NodeView, dy: Var, *, fixed: bool = False) -> Cotangents:
    """Normalised over the last axes, from ``axis`` on."""
    dz = dy * node.input(1)
    dx, z = normalized_vjp(op, node.x, dz, _from_axis(node), node.number("epsilon", 1e-5), fixed=fixed)
    return dx, *_scale_and_bias(node, dy, z, _unbroadcast(op, node))


@vjp("RMSNormalization", since=23)
def rms_normalization(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Divided by the root of the mean square over the last axes."""
    dz = dy * node.input(1)
    dx, z = normalized_vjp(op, node.x, dz, _from_axis(node), node.number("epsilon", 1e-5), centred=False)
    return dx, *_scale_and_bias(node, dy, z, _unbroadcast(op, node))


def _unbroadcast(op: Builder, node: NodeView) -> Callable[[Var, int], Var]:
    shape = shape_of(node.node.outputs[0])
    return lambda terms, index: shapes.unbroadcast(op, terms, shape, node.raw(index))


def _from_axis(node: NodeView) -> list[int]:
    rank, axis = node.rank(), node.integer("axis", -1)
    return list(range(axis % rank, rank))


@vjp("GroupNormalization", since=21)
def group_normalization(op: Builder, node: NodeView, dy: Var, *, fixed: bool = False) -> Cotangents:
    """Normalised over the channels and positions of each group; one scale a channel."""
    rank = node.rank()
    dx, z = _grouped(op, node, dy * per_channel(op, node.input(1), rank), fixed)
    z = shapes.reshape_like(op, z, node.raw(0)) if node.needs(1) else z
    return dx, *_scale_and_bias(node, dy, z, lambda terms, _: _channel_sum(op, terms, rank))


@vjp("GroupNormalization", since=18)
def group_normalization_18(op: Builder, node: NodeView, dy: Var, *, fixed: bool = False) -> Cotangents:
    """Normalised over the channels and positions of each group; before opset 21 one scale a group."""
    dy = op.Reshape(dy, [0, node.integer("num_groups", 1), -1])
    dx, z = _grouped(op, node, dy * op.Reshape(node.input(1), [1, -1, 1]), fixed)
    return dx, *_scale_and_bias(node, dy, z, lambda terms, _: op.ReduceSum(terms, [0, 2], keepdims=0))


def _grouped(op: Builder, node: NodeView, dz: Var, fixed: bool) -> tuple[Var, Var]:
    """Return dx, and z as ``[N, groups, numbers]``."""
    split = [0, node.integer("num_groups", 1), -1]
    x, dz = op.Reshape(node.x, split), op.Reshape(dz, split)
    dx, z = normalized_vjp(op, x, dz, [2], node.number("epsilon", 1e-5), fixed=fixed)
    return shapes.reshape_like(op, dx, node.raw(0)), z


@vjp("MeanVarianceNormalization", since=9)
def mean_variance_normalization(op: Builder, node: NodeView, dy: Var, *, fixed: bool = False) -> Cotangents:
    """y = (x - mean) / (deviation + 1e-9) over ``axes``."""
    axes = node.integers("axes") or [0, 2, 3]
    x = node.x - op.ReduceMean(node.x, axes, keepdims=1)
    deviation = op.Sqrt(op.ReduceMean(x * x, axes, keepdims=1))
    z = x / (deviation + 1e-9)
    dx = dy - op.ReduceMean(dy, axes, keepdims=1)
    if not fixed:
        dx = dx - op.ReduceMean(dy * z, axes, keepdims=1) * x / op.Where(op.Equal(deviation, 0), 1, deviation)
    return (dx / (deviation + 1e-9),)


@vjp("LRN")
def lrn(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x d^-beta with d = bias + alpha/size sum of x^2 over neighbouring channels."""
    x, beta = node.x, node.number("beta", 0.75)
    size, alpha, bias = node.integer("size", 1), node.number("alpha", 1e-4), node.number("bias", 1.0)
    before, after = (size - 1) // 2, size // 2
    d = channel_mean(op, x * x, size, before, after) * alpha + bias
    # The neighbours of a neighbour lie mirrored.
    spread = channel_mean(op, dy * x * op.Pow(d, -beta - 1), size, after, before)
    return (dy * op.Pow(d, -beta) - x * spread * (2 * alpha * beta),)


def channel_mean(op: Builder, x: Var, size: int, before: int, after: int) -> Var:
    """Return the sum over neighbouring channels divided by ``size``, channels outside counting as zero."""
    flat = op.Reshape(x, op.Concat(op.ints([0, 1]), op.Shape(x, start=1, end=2), op.ints([-1]), axis=0))
    pooled = op.AveragePool(flat, kernel_shape=[size, 1], pads=[before, 0, after, 0], count_include_pad=1)
    return op.Reshape(pooled, op.Shape(x))


@vjp("LpNormalization")
def lp_normalization(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x / n with n the 1- or 2-norm along ``axis``: dx = (dy - dn' sum(dy y)) / n, where dn' = sign(x) or y."""
    axis, p = [node.integer("axis", -1)], node.integer("p", 2)
    x, y = node.x, node.y
    norm = op.ReduceL1(x, axis, keepdims=1) if p == 1 else op.ReduceL2(x, axis, keepdims=1)
    direction = op.Sign(x) if p == 1 else y
    along = op.ReduceSum(dy * y, axis, keepdims=1)
    return (op.Where(op.Equal(norm, 0), 0, (dy - direction * along) / op.Where(op.Equal(norm, 0), 1, norm)),)


@vjp("Softmax", since=13)
def softmax(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dx = y (dy - sum(dy y))."""
    y = node.y
    if _is_mended(node.node.outputs[0]):
        # Rows of attention of which a mask leaves nothing: no 0 of dy times NaN may go on.
        y = op.Where(op.IsNaN(y), 0, y)
    scaled = dy * y
    return (scaled - y * op.ReduceSum(scaled, [node.integer("axis", -1)], keepdims=1),)


def _is_mended(value: ir.Value) -> bool:
    """Return whether numbers of a value are exchanged for others right after it, as exporters do with NaN."""
    users = value.consumers()
    return any(
        user.op_type == "Where" or (user.op_type in {"Cast", "Identity"} and _is_mended(user.outputs[0]))
        for user in users
    )


@vjp("LogSoftmax", since=13)
def log_softmax(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dx = dy - e^y sum(dy)."""
    return (dy - op.Exp(node.y) * op.ReduceSum(dy, [node.integer("axis", -1)], keepdims=1),)
