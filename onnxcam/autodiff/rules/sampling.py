"""Reading between the positions of an image: GridSample, and AffineGrid that makes the points.

    y[p] = sum over taps of weight(tap, p) x[position(tap, p)]

so that dx adds weight times dy at those positions, and the grid's gradient takes the weights' slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.registry import Cotangents, vjp

_MODES = {"bilinear": "linear", "bicubic": "cubic"}
# Of the cubic convolution that GridSample fixes.
_ALPHA = -0.75


@dataclass(frozen=True)
class Tap:
    """One neighbour along one axis, for every point: where it is, how much it counts, and that one's slope."""

    position: Var
    weight: Var
    slope: Var | None


@dataclass(frozen=True)
class Axis:
    """One spatial axis of the image: its size as an int64 and as a float, and the ends that padding counts from."""

    size: Var
    length: Var
    low: Var
    high: Var


@vjp("GridSample", since=16)
def grid_sample(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x read at the grid's points, which run from -1 to 1 along each axis, the last axis first."""
    rank = node.rank() - 2
    x, grid = node.input(0), node.input(1)
    mode = node.text("mode", "linear")
    mode, padding = _MODES.get(mode, mode), node.text("padding_mode", "zeros")
    aligned = bool(node.integer("align_corners", 0))
    axes = [_axis(op, x, axis + 2, aligned, dy) for axis in range(rank)]
    taps, stretch = [], []
    for position, axis in enumerate(axes):
        n = op.Slice(grid, [rank - 1 - position], [rank - position], [-1])
        # One row of points a sample: [N, 1, points].
        n = op.Reshape(op.cast(n, dy.dtype), [0, 1, -1])
        scale = (axis.length - 1) / 2 if aligned else axis.length / 2
        point = (n + 1) * scale if aligned else (n + 1) * scale - 0.5
        point = op.Round(point) if mode == "nearest" else point
        # Beyond the ends a cubic reads each of its neighbours where the padding brings that one.
        point, sign = _inside(op, point, axis, "zeros" if mode == "cubic" else padding)
        taps.append(_taps(op, point, axis, mode, padding))
        stretch.append(sign * scale)
    flat = op.Reshape(dy, shapes.sizes_tensor(op, [0, 0, -1]))
    pixels = op.Reshape(x, shapes.sizes_tensor(op, [0, 0, -1]))
    return _dx(op, node, flat, pixels, taps, axes), _dgrid(op, node, flat, pixels, taps, axes, stretch)


def _axis(op: Builder, x: Var, axis: int, aligned: bool, dy: Var) -> Axis:
    size = shapes.dim_tensor(op, x, axis)
    length = op.cast(size, dy.dtype)
    low, high = (length * 0, length - 1) if aligned else (length * 0 - 0.5, length - 0.5)
    return Axis(size, length, low, high)


def _inside(op: Builder, point: Var, axis: Axis, padding: str) -> tuple[Var, Var]:
    """Return points brought into the image as the padding says, and the slope of that."""
    one = point * 0 + 1
    if padding == "zeros":
        return point, one
    outside = op.Or(point < axis.low, point > axis.high)
    if padding == "border":
        return op.Where(outside, op.Clip(point, 0, op.Squeeze(axis.length - 1, [0])), point), op.Where(outside, 0, one)
    return _reflected(op, point, axis)


def _reflected(op: Builder, point: Var, axis: Axis) -> tuple[Var, Var]:
    """Mirror at the ends until inside: a triangle wave; a range of length 0 has one position."""
    span = op.Max(axis.high - axis.low, 1e-6)
    offset = op.Abs(point - axis.low)
    turns = op.Floor(offset / span)
    rest = offset - turns * span
    odd = turns - op.Floor(turns / 2) * 2 > 0.5
    sign = op.Where(point < axis.low, -1.0 + point * 0, 1 + point * 0)
    return op.Where(odd, axis.high - rest, axis.low + rest), op.Where(odd, -sign, sign)


def _taps(op: Builder, point: Var, axis: Axis, mode: str, padding: str) -> list[Tap]:
    if mode == "nearest":
        return [_tap(op, point, axis, padding, point * 0 + 1, None)]
    first = op.Floor(point)
    t = point - first
    if mode == "linear":
        given = [(0, 1 - t, t * 0 - 1), (1, t, t * 0 + 1)]
    else:
        given = [(k, *_cubic(t, k)) for k in (-1, 0, 1, 2)]
    return [_tap(op, first + k, axis, padding, weight, slope) for k, weight, slope in given]


def _cubic(t: Var, k: int) -> tuple[Var, Var]:
    """Return the weight of the neighbour ``k`` positions on, and its slope in ``t``; s is the distance."""
    a = _ALPHA
    s = {-1: t + 1, 0: t, 1: 1 - t, 2: 2 - t}[k]
    if k in (0, 1):
        weight, slope = ((a + 2) * s - (a + 3)) * s * s + 1, (3 * (a + 2) * s - 2 * (a + 3)) * s
    else:
        weight, slope = ((a * s - 5 * a) * s + 8 * a) * s - 4 * a, (3 * a * s - 10 * a) * s + 8 * a
    return weight, slope if k <= 0 else -slope


def _tap(op: Builder, position: Var, axis: Axis, padding: str, weight: Var, slope: Var | None) -> Tap:
    """Bring a neighbour's position into the image; with zeros around it those outside count for nothing."""
    last = op.Squeeze(axis.length - 1, [0])
    if padding == "zeros":
        kept = op.And(position >= 0, position <= last)
        weight = op.Where(kept, weight, 0)
        slope = None if slope is None else op.Where(kept, slope, 0)
    elif padding == "reflection":
        outside = op.Or(position < axis.low, position > axis.high)
        position = op.Where(outside, _reflected(op, position, axis)[0], position)
    return Tap(op.cast(op.Clip(position, 0, last), ir.DataType.INT64), weight, slope)


def _flat(op: Builder, chosen: tuple[Tap, ...], axes: list[Axis], like: Var) -> Var:
    """Return the positions of taps in the flattened image, for every channel."""
    position = chosen[0].position
    for tap, axis in zip(chosen[1:], axes[1:], strict=True):
        position = position * axis.size + tap.position
    return op.Expand(position, op.Shape(like))


def _dx(op: Builder, node: NodeView, dy: Var, pixels: Var, taps: list[list[Tap]], axes: list[Axis]) -> Var | None:
    if not node.needs(0):
        return None
    total = shapes.zeros_like(op, op.var(pixels.value), dy)
    for chosen in product(*taps):
        share = reduce(lambda a, b: a * b, (tap.weight for tap in chosen), dy)
        total = op.ScatterElements(total, _flat(op, chosen, axes, dy), share, axis=2, reduction="add")
    return shapes.reshape_like(op, total, node.raw(0))


def _dgrid(
    op: Builder, node: NodeView, dy: Var, pixels: Var, taps: list[list[Tap]], axes: list[Axis], stretch: list[Var]
) -> Var | None:
    if not node.needs(1):
        return None
    parts: list[Var | None] = [None] * len(axes)
    for chosen in product(*taps):
        read = op.ReduceSum(dy * op.GatherElements(pixels, _flat(op, chosen, axes, dy), axis=2), [1], keepdims=1)
        for position, tap in enumerate(chosen):
            if tap.slope is None:
                continue
            others = [other.weight for i, other in enumerate(chosen) if i != position]
            term = reduce(lambda a, b: a * b, others, read * tap.slope)
            known = parts[position]
            parts[position] = term if known is None else known + term
    zero = op.ReduceSum(dy, [1], keepdims=1) * 0
    along = [zero if p is None else p * s for p, s in zip(parts, stretch, strict=True)]
    joined = op.Concat(*[op.Reshape(part, [0, -1, 1]) for part in reversed(along)], axis=2)
    return shapes.reshape_like(op, joined, node.raw(1))


@vjp("AffineGrid", since=20)
def affine_grid(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = theta (p, 1) for each point p of a regular grid: dtheta = sum over the points of dy (p, 1)^T."""
    shape = node.shape(1)
    if shape is None or not isinstance(shape[0], int):
        raise UnknownShapeError("the number of axes of its image is not known")
    rank = shape[0] - 2
    identity = op.const(np.eye(rank, rank + 1)[None], dy.dtype)
    size = op.Concat(op.ints([1]), op.Slice(node.raw(1), [1], [rank + 2], [0]), axis=0)
    points = op.AffineGrid(identity, size, align_corners=node.integer("align_corners", 0))
    along = op.Transpose(op.Reshape(dy, [0, -1, rank]), perm=[0, 2, 1])
    turn = along @ op.Reshape(points, [-1, rank])
    return (op.Concat(turn, op.ReduceSum(along, [2], keepdims=1), axis=2),)
