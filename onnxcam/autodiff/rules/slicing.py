"""Operators that pick numbers by position; the cotangent goes back to where each was picked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.registry import Cotangents, vjp, zero_gradient

zero_gradient("NonZero", reason="its result is a position")


def put_at(op: Builder, dy: Var, positions: npt.NDArray[np.int64], size: int, axis: int, rank: int) -> Var:
    """Return zeros of length ``size`` along ``axis`` with slices of ``dy`` at the given, different positions.

    Reading by index is fast everywhere, adding at one is not: every position reads its slice, or a zero put after dy.
    """
    count = len(positions)
    if count and np.array_equal(positions, np.arange(positions[0], positions[0] + count)):
        pads = [0] * (2 * rank)
        pads[axis], pads[axis + rank] = int(positions[0]), size - count - int(positions[0])
        return op.Pad(dy, pads) if any(pads) else dy
    source = np.full(size, count, np.int64)
    source[positions] = np.arange(count)
    pads = [0] * (2 * rank)
    pads[axis + rank] = 1
    return op.Gather(op.Pad(dy, pads), source, axis=axis)


@vjp("Slice", since=10)
def slice_(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x[start:end:step] along some axes: dy back where it was, zeros elsewhere."""
    rank, shape = node.rank(), node.shape() or ()
    numbers = [node.constant(index) for index in range(1, 5)]
    for position, axis in enumerate(_sliced_axes(node, rank)):
        size = shape[axis]
        known = [None if n is None else int(n[position]) for n in numbers]
        step_known = numbers[3] is not None or not node.has(4)
        if isinstance(size, int) and known[0] is not None and known[1] is not None and step_known:
            positions = np.arange(size)[slice(*_python_slice(known[0], known[1], known[3] or 1))]
            dy = put_at(op, dy, positions, size, axis, rank)
        else:
            dy = _put_at_run_time(op, node, dy, position, axis, rank)
    return (dy,)


def _sliced_axes(node: NodeView, rank: int) -> list[int]:
    if not node.has(3):
        count = (node.shape(1) or (None,))[0]
        if not isinstance(count, int):
            raise UnknownShapeError("its number of axes is not known")
        return list(range(count))
    axes = node.constant(3)
    if axes is None:
        raise UnknownShapeError("its axes are computed while the graph runs")
    return [int(axis) % rank for axis in axes]


def _python_slice(start: int, end: int, step: int) -> tuple[int, int | None, int]:
    """Return the bounds as Python reads them: past the beginning, a backward slice has no end rather than -1."""
    return start, (None if step < 0 and end < -(2**31) + 1 else end), step


def _put_at_run_time(op: Builder, node: NodeView, dy: Var, position: int, axis: int, rank: int) -> Var:
    """Slice the list of positions as x was sliced, and let every position read what it was sliced to."""
    size = op.Squeeze(shapes.dim_tensor(op, node.raw(0), axis), [0])
    # Starts and ends may be 32-bit numbers, and all four must be of one type.
    bounds = [
        op.cast(op.Slice(node.raw(i), [position], [position + 1], [0]), ir.DataType.INT64) if node.has(i) else None
        for i in (1, 2, 4)
    ]
    positions = op.Slice(
        op.emit("Range", [op.const(np.int64(0)), size, op.const(np.int64(1))]), bounds[0], bounds[1], [0], bounds[2]
    )
    count = op.Shape(positions)
    order = op.emit("Range", [op.const(np.int64(0)), op.Squeeze(count, [0]), op.const(np.int64(1))])
    source = op.ScatterElements(op.Expand(count, op.Reshape(size, [1])), positions, order, axis=0)
    pads = [0] * (2 * rank)
    pads[axis + rank] = 1
    return op.Gather(op.Pad(dy, pads), source, axis=axis)


@vjp("Gather")
def gather(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = slices of x along an axis, by index: each slice of dy is added where it was picked."""
    rank, shape = node.rank(), node.shape() or ()
    axis = node.integer("axis", 0) % rank
    size, fixed = shape[axis], node.constant(1)
    picked = op.ints([-1]) if fixed is None else op.ints([fixed.size])
    # The index may have any rank: its axes are joined into the one that they take the place of.
    before, after = op.Shape(node.raw(0), start=0, end=axis), op.Shape(node.raw(0), start=axis + 1)
    joined = dy if node.rank(1) == 1 else op.Reshape(dy, op.Concat(before, picked, after, axis=0))
    if isinstance(size, int) and fixed is not None:
        positions = np.asarray(fixed, np.int64).reshape(-1) % size
        if len(set(positions.tolist())) == len(positions):
            return (put_at(op, joined, positions, size, axis, rank),)
    index = op.Reshape(node.raw(1), [*[1] * axis, -1, *[1] * (rank - axis - 1)])
    index = op.Expand(op.cast(index, ir.DataType.INT64), op.Shape(joined))
    zeros = shapes.zeros_like(op, node.raw(0), dy)
    return (op.ScatterElements(zeros, index, joined, axis=axis, reduction="add"),)
