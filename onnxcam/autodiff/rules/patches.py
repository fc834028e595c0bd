"""Patches of an image: regions of interest, columns, crops."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.registry import Cotangents, vjp
from onnxcam.errors import UnsupportedError


@vjp("RoiAlign", since=10)
def roi_align(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y[r] = A_r x[b_r] B_r^T, averages of linear interpolation: dx[b] = sum over its boxes of A_r^T dy[r] B_r.

    Boxes count as constants: where a box lies carries no gradient, as in torchvision.
    """
    if node.text("mode", "avg") != "avg":
        raise UnsupportedError(
            f"RoiAlign '{node.node.name}': mode 'max' has no gradient rule; export it with mode 'avg', or "
            "choose a later layer (closer to the output)"
        )
    rows = _averages(op, node, dy, 0)
    columns = _averages(op, node, dy, 1)
    back = op.MatMul(op.MatMul(op.Transpose(rows, perm=[0, 1, 3, 2]), dy), columns)
    batch = op.Reshape(op.cast(node.raw(2), ir.DataType.INT64), [-1, 1])
    dx = op.ScatterND(shapes.zeros_like(op, node.raw(0), dy), batch, back, reduction="add")
    return dx, (shapes.zeros_like(op, node.raw(1), dy) if node.needs(1) else None)


def _averages(op: Builder, node: NodeView, dy: Var, axis: int) -> Var:
    """Return for each box ``[boxes, 1, cells, size]``: how much each position counts in each cell along an axis."""
    cells = node.integer(("output_height", "output_width")[axis], 1)
    half = node.text("coordinate_transformation_mode", "half_pixel") == "half_pixel" and _has_modes(op)
    rois, scale = op.cast(node.input(1), dy.dtype), node.number("spatial_scale", 1.0)
    start, end = (op.Slice(rois, [i], [i + 1], [1]) * scale - (0.5 if half else 0.0) for i in (1 - axis, 3 - axis))
    extent = end - start if half else op.Max(end - start, 1.0)
    ratio = node.integer("sampling_ratio", 0)
    # As many samples a cell as asked for, or as positions fit into the box.
    count = extent * 0 + ratio if ratio > 0 else op.Ceil(extent / cells)
    most = op.const(np.int64(ratio)) if ratio > 0 else op.cast(op.ReduceMax(count, keepdims=0), ir.DataType.INT64)
    step = op.cast(op.emit("Range", [op.const(np.int64(0)), most, op.const(np.int64(1))]), dy.dtype)
    cell = op.const(np.arange(cells).reshape(1, -1, 1), dy.dtype)
    wide = op.Unsqueeze(extent / cells, [2])
    among = op.Unsqueeze(op.Max(count, 1.0), [2])
    point = op.Unsqueeze(start, [2]) + (cell + (step + 0.5) / among) * wide
    size = op.Squeeze(shapes.dim_tensor(op, node.raw(0), axis + 2), [0])
    length = op.cast(size, dy.dtype)
    counts = op.And(op.And(point >= -1.0, point <= length), step < op.Unsqueeze(count, [2]))
    position = op.cast(op.emit("Range", [op.const(np.int64(0)), size, op.const(np.int64(1))]), dy.dtype)
    near = 1 - op.Abs(op.Unsqueeze(op.Clip(point, 0, length - 1), [3]) - position)
    weight = op.Where(op.Unsqueeze(counts, [3]), op.Max(near, 0), 0)
    return op.Unsqueeze(op.ReduceSum(weight, [2], keepdims=0) / among, [1])


def _has_modes(op: Builder) -> bool:
    """Whether the operator is of the opset that brought the half pixel."""
    return op.graph.opset_imports.get("", 0) >= 16


@vjp("Col2Im", since=18)
def col2im(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Columns are added where their windows lie: each column reads its window of dy."""
    sizes, block = node.constant(1), node.constant(2)
    if sizes is None or block is None:
        raise UnknownShapeError("the sizes of its image and windows are computed while the graph runs")
    image, kernel = [int(n) for n in sizes], [int(n) for n in block]
    rank = len(kernel)
    strides, dilations = node.integers("strides") or [1] * rank, node.integers("dilations") or [1] * rank
    pads = node.integers("pads") or [0] * (2 * rank)
    padded = op.Pad(dy, [0, 0, *pads[:rank], 0, 0, *pads[rank:]])
    full = [n + a + b for n, a, b in zip(image, pads[:rank], pads[rank:], strict=True)]
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(full, dilations, kernel, strides, strict=True)]
    axes = list(range(2, rank + 2))
    read = []
    for offsets in product(*map(range, kernel)):
        starts = [o * d for o, d in zip(offsets, dilations, strict=True)]
        ends = [a + (c - 1) * s + 1 for a, c, s in zip(starts, counts, strides, strict=True)]
        window = op.Slice(padded, starts, ends, axes, strides)
        read.append(op.Reshape(window, [0, 0, 1, prod(counts)]))
    columns = op.Concat(*read, axis=2) if len(read) > 1 else read[0]
    return (shapes.reshape_like(op, columns, node.raw(0)),)
