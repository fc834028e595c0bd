"""Operators that move numbers and do not change them."""

from __future__ import annotations

from functools import partial

import numpy as np

from onnxcam.autodiff import shapes
from onnxcam.autodiff.axis_linear import along_axis
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.registry import Cotangents, vjp, zero_gradient

zero_gradient("Shape", "Size", reason="its result is a size")
zero_gradient("ConstantOfShape", "EyeLike", "Range", reason="its result is made of constants")
zero_gradient(
    "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", reason="its result is drawn by chance"
)


@vjp("Identity")
@vjp("Dropout", inputs=[0])
def identity(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x."""
    return (dy,)


@vjp("Cast")
def cast(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x in another float type; the driver gives the cotangent its own."""
    return (dy,)


@vjp("CastLike", since=15)
def cast_like(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x in the type of a second value, which counts for its type alone."""
    return dy, (shapes.zeros_like(op, node.raw(1), dy) if node.needs(1) else None)


@vjp("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """The same numbers in the same order: dy in the shape of x."""
    return (shapes.reshape_like(op, dy, node.raw(0)),)


@vjp("Transpose")
def transpose(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Axes are permuted back."""
    perm = node.integers("perm")
    inverse = [int(axis) for axis in np.argsort(perm)] if perm is not None else list(range(node.rank()))[::-1]
    return (op.Transpose(dy, perm=inverse),)


@vjp("Expand", since=8, broadcasts=True)
def expand(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Repetition along axes of size 1: the driver sums over them."""
    return (dy,)


@vjp("Concat", since=4)
def concat(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Each input takes its own stretch of dy."""
    axis = node.integer("axis", 0)
    axis = axis if axis >= 0 else axis % node.rank()
    results: list[Var | None] = []
    start: int | Var = 0
    for index in range(node.count):
        size = shapes.dim(op, node.raw(index), axis)
        fixed = isinstance(start, int) and isinstance(size, int)
        end: int | Var = start + size if fixed else _tensor(op, start) + _tensor(op, size)
        wanted = node.needs(index)
        results.append(op.Slice(dy, _tensor(op, start), _tensor(op, end), [axis]) if wanted else None)
        start = end
    return results


def _tensor(op: Builder, size: int | Var) -> Var:
    return op.ints([size]) if isinstance(size, int) else size


@vjp("Split", since=13, all_outputs=True)
def split(op: Builder, node: NodeView, cotangents: list[Var | None]) -> Cotangents:
    """The cotangents of the parts, one after the other; zeros for parts that nothing reads."""
    given = next(c for c in cotangents if c is not None)
    parts = [
        c if c is not None else shapes.zeros_like(op, op.var(value), given)
        for c, value in zip(cotangents, node.node.outputs, strict=True)
    ]
    return (op.Concat(*parts, axis=node.integer("axis", 0)),)


@vjp("Pad", since=2)
def pad(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Constant padding is cut off; mirrored, repeated and wrapped edges are added back to where they came from."""
    mode, rank = node.text("mode", "constant"), node.rank()
    if mode == "constant" and node.has(1) and node.constant(1) is None:
        dx = op.Pad(dy, op.Neg(node.raw(1)), None, node.raw(3) if node.has(3) else None)
        return dx, None, _filling(op, node, dy, dx)
    pads, axes = _padding(node, rank)
    if mode == "constant":
        dx = op.Pad(dy, [-p for p in pads])
        # A negative padding crops x; the cropped positions get the gradient 0, which Pad fills in.
        return dx, None, _filling(op, node, dy, dx)
    for axis in axes:
        begin, end = pads[axis], pads[axis + rank]
        if begin or end:
            dy = along_axis(op, dy, node.raw(0), axis, rank, partial(_pad_columns, op, begin, end, mode))
    return (dy,)


def _filling(op: Builder, node: NodeView, dy: Var, dx: Var) -> Var | None:
    """Return the sum of what no input was read for, for the number that stands there."""
    if not node.needs(2):
        return None
    outside = op.ReduceSum(dy, keepdims=0) - op.ReduceSum(dx, keepdims=0)
    return op.Reshape(outside, shapes.shape_tensor(op, node.raw(2)))


def _padding(node: NodeView, rank: int) -> tuple[list[int], list[int]]:
    """Return begin and end padding for every axis, and the axes that are padded."""
    given = node.integers("pads")
    if given is None:
        fixed = node.constant(1)
        if fixed is None:
            raise UnknownShapeError("its padding is computed while the graph runs")
        given = [int(p) for p in fixed]
    axes = list(range(rank))
    if node.has(3):
        chosen = node.constant(3)
        if chosen is None:
            raise UnknownShapeError("its axes are computed while the graph runs")
        axes = [int(axis) % rank for axis in chosen]
    pads = [0] * (2 * rank)
    for position, axis in enumerate(axes):
        pads[axis], pads[axis + rank] = given[position], given[position + len(axes)]
    return pads, axes


def _pad_columns(op: Builder, begin: int, end: int, mode: str, matrix: Var) -> Var:
    return op.Pad(matrix, [0, begin, 0, end], mode=mode)


@vjp("DepthToSpace")
def depth_to_space(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Blocks go back to channels; in CRD mode the channels' order is exchanged too."""
    block = node.integer("blocksize", 1)
    packed = op.SpaceToDepth(dy, blocksize=block)
    if node.text("mode", "DCR") == "DCR":
        return (packed,)
    rest = op.Shape(packed, start=2)
    blocks = op.Reshape(packed, op.Concat(op.ints([0, block * block, -1]), rest, axis=0))
    return (shapes.reshape_like(op, op.Transpose(blocks, perm=[0, 2, 1, 3, 4]), node.raw(0)),)


@vjp("SpaceToDepth")
def space_to_depth(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Channels go back to blocks, in the order that ``mode`` names from opset 27 on."""
    return (op.DepthToSpace(dy, blocksize=node.integer("blocksize", 1), mode=node.text("mode", "DCR")),)
