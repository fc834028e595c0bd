"""Pooling."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.autodiff import lowering, shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.registry import Cotangents, vjp
from onnxcam.autodiff.windows import Window, scatter_windows, spatial_sizes, window


@vjp("MaxPool", since=8)
def max_pool(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = largest of each window: the first position that has it receives dy, as in the Indices output."""
    x = node.raw(0)
    indices = _row_major_indices(op, node) if node.integer("storage_order", 0) else _own_indices(op, node.node)
    count = op.Reshape(op.Size(x), [1])
    zeros = op.Expand(op.const(0, dy.dtype), count)
    flat = op.ScatterElements(zeros, op.Reshape(indices, [-1]), op.Reshape(dy, [-1]), axis=0, reduction="add")
    return (shapes.reshape_like(op, flat, x),)


def _own_indices(op: Builder, node: ir.Node) -> Var:
    """Make the forward node output the positions of the maxima."""
    if len(node.outputs) < 2:
        node.resize_outputs(2)
    indices = node.outputs[1]
    if not indices.name:
        indices.name = op.unique("Indices")
    indices.type, indices.shape = ir.TensorType(ir.DataType.INT64), node.outputs[0].shape
    return op.var(indices)


def _row_major_indices(op: Builder, node: NodeView) -> Var:
    """Write a second pool that outputs them: the forward node counts positions column by column."""
    kept = {name: attr for name, attr in node.node.attributes.items() if name != "storage_order"}
    outputs = [ir.Value(name=op.unique("MaxPool")), ir.Value(name=op.unique("Indices"))]
    outputs[1].type = ir.TensorType(ir.DataType.INT64)
    op.graph.append(ir.Node("", "MaxPool", [node.raw(0).value], kept, outputs=outputs, name=outputs[0].name))
    return op.var(outputs[1])


@vjp("AveragePool", since=7)
def average_pool(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = mean of each window: every position of a window receives dy over how many positions were counted."""
    win = window(node, node.integers("kernel_shape") or ())
    x = node.raw(0)
    share = dy / _counted_positions(op, node, win, dy)
    # One channel a sample: a transposed convolution with ones, which needs no weight per channel.
    single = op.Reshape(share, shapes.sizes_tensor(op, [-1, 1, *_tail(op, node.y)]))
    ones = op.const(np.ones((1, 1, *win.kernel)), dy.dtype)
    dx = scatter_windows(op, single, ones, win, x, group=1)
    return (shapes.reshape_like(op, dx, x),)


def _tail(op: Builder, x: Var) -> list[int | Var]:
    if x.shape is None:
        raise UnknownShapeError("its rank is not known")
    return [shapes.dim(op, x, axis) for axis in range(2, len(x.shape))]


def _counted_positions(op: Builder, node: NodeView, win: Window, dy: Var) -> Var:
    """Return how many positions each window averages over, a number or ``[*out]``."""
    include = bool(node.integer("count_include_pad", 0))
    if not win.ceil and (include or not any(win.pads)):
        return op.const(prod(win.kernel), dy.dtype)
    inside = spatial_sizes(node.shape())
    if inside is None:
        return _count_at_run_time(op, node, win, include, dy)
    outside = win.counts(inside)
    counts = np.ones((1,) * win.rank)
    for axis in range(win.rank):
        along = _count_axis(win, axis, inside[axis], outside[axis], include)
        counts = counts * along.reshape([-1 if a == axis else 1 for a in range(win.rank)])
    return op.const(counts, dy.dtype)


def _count_axis(win: Window, axis: int, inside: int, outside: int, include: bool) -> npt.NDArray[np.int64]:
    """Count the positions of each window along one axis; padding counts if ``include``, what lies past it never."""
    starts = np.arange(outside) * win.strides[axis] - win.pads_begin[axis]
    positions = starts[:, None] + np.arange(win.kernel[axis]) * win.dilations[axis]
    low, high = (-win.pads_begin[axis], inside + win.pads_end[axis]) if include else (0, inside)
    counted: npt.NDArray[np.int64] = ((positions >= low) & (positions < high)).sum(axis=1)
    return counted


def _count_at_run_time(op: Builder, node: NodeView, win: Window, include: bool, dy: Var) -> Var:
    """Count by convolving ones with ones: padding first if it counts, then zeros up to the last window's reach."""
    axes = list(range(win.rank))
    ones = op.Expand(op.const(1, dy.dtype), op.Concat(op.ints([1, 1]), op.Shape(node.raw(0), start=2), axis=0))
    begin, end = list(win.pads_begin), list(win.pads_end)
    if include:
        ones = op.Pad(ones, [0, 0, *begin, 0, 0, *end], op.const(1, dy.dtype))
        begin, end = [0] * win.rank, [0] * win.rank
    reach = [e + s - 1 for e, s in zip(end, win.strides, strict=True)] if win.ceil else end
    counts = op.Conv(
        ones,
        op.const(np.ones((1, 1, *win.kernel)), dy.dtype),
        pads=[*begin, *reach],
        strides=list(win.strides),
        dilations=list(win.dilations),
    )
    return op.Slice(counts, [0] * win.rank, op.Shape(node.y, start=2), [axis + 2 for axis in axes])


@vjp("GlobalAveragePool")
def global_average_pool(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = mean over all positions: each receives dy over their number."""
    x = node.raw(0)
    sizes = spatial_sizes(x.shape)
    if sizes is not None:
        share = dy * (1 / prod(sizes))
    else:
        share = dy / op.cast(op.ReduceProd(op.Shape(x, start=2), keepdims=0), dy.dtype)
    if x.shape and lowering.map_sizes(x.shape):
        return (lowering.spread(op, share, x.shape),)
    return (op.Expand(share, shapes.shape_tensor(op, x)),)


@vjp("GlobalMaxPool")
def global_max_pool(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = largest of all positions: the first position that has it receives dy."""
    x = node.raw(0)
    flat = op.Reshape(node.x, shapes.sizes_tensor(op, [0, 0, -1]))
    first = op.ArgMax(flat, axis=2, keepdims=1)
    zeros = op.Expand(op.const(0, dy.dtype), op.Shape(flat))
    placed = op.ScatterElements(zeros, first, op.Reshape(dy, [0, 0, 1]), axis=2)
    return (shapes.reshape_like(op, placed, x),)


@vjp("GlobalLpPool", since=2)
def global_lp_pool(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = (sum |x|^p)^(1/p): dx = dy sign(x) (|x| / y)^(p-1), 0 where y = 0."""
    x, y, p = node.x, node.y, node.integer("p", 2)
    return (op.Where(op.Equal(y, 0), 0, dy * op.Sign(x) * op.Pow(op.Abs(x) / op.Where(op.Equal(y, 0), 1, y), p - 1)),)


@vjp("LpPool", since=2)
def lp_pool(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = (sum of |x|^p over each window)^(1/p): dx = sign(x) |x|^(p-1) times the windows' dy y^(1-p)."""
    p = node.integer("p", 2)
    win = window(node, node.integers("kernel_shape") or ())
    x, y = node.x, node.y
    share = op.Where(op.Equal(y, 0), 0, dy * op.Pow(op.Where(op.Equal(y, 0), 1, y), 1 - p))
    single = op.Reshape(share, shapes.sizes_tensor(op, [-1, 1, *_tail(op, y)]))
    ones = op.const(np.ones((1, 1, *win.kernel)), dy.dtype)
    spread = shapes.reshape_like(op, scatter_windows(op, single, ones, win, node.raw(0), group=1), node.raw(0))
    return (spread * op.Sign(x) * op.Pow(op.Abs(x), p - 1),)
