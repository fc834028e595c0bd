"""Resizing, one axis at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.registry import Cotangents, vjp
from onnxcam.autodiff.separable import along_axis
from onnxcam.errors import UnsupportedError

_STRINGS = ("mode", "coordinate_transformation_mode", "nearest_mode")
_FLOATS = ("cubic_coeff_a", "extrapolation_value")
_INTS = ("exclude_outside", "antialias")
_SIZES = 3


@vjp("Resize", since=11)
def resize(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = interpolation of x: dx = dy times the transposed interpolation matrix of each axis."""
    if node.text("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise UnsupportedError(
            f"Resize '{node.node.name}': cropping while resizing has no gradient rule; crop with Slice before resizing"
        )
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise UnsupportedError(
            f"Resize '{node.node.name}': keep_aspect_ratio_policy has no gradient rule; export it with scales instead"
        )
    rank = node.rank()
    for axis in resized_axes(node, rank):
        dy = along_axis(op, dy, node.raw(0), axis, rank, resizer(op, node, axis))
    return (dy,)


def resized_axes(node: NodeView, rank: int) -> list[int]:
    """Return the axes that may change, the last ones last."""
    chosen = [axis % rank for axis in node.integers("axes") or range(rank)]
    before, after = node.shape() or (), node.y.shape or ()
    if len(after) != rank:
        return chosen
    fixed = node.constant(2)
    return [
        axis
        for position, axis in enumerate(chosen)
        if not (isinstance(before[axis], int) and before[axis] == after[axis])
        and not (fixed is not None and fixed.size and fixed[position] == 1)
        and not (before[axis] is not None and before[axis] == after[axis])
    ]


def resizer(op: Builder, node: NodeView, axis: int) -> Callable[[Var], Var]:
    """Return the same interpolation for a matrix along axis 1."""
    attributes: dict[str, int | float | str] = {}
    present = node.node.attributes
    attributes |= {name: node.text(name, "") for name in _STRINGS if name in present}
    attributes |= {name: node.number(name, 0.0) for name in _FLOATS if name in present}
    attributes |= {name: node.integer(name, 0) for name in _INTS if name in present}

    def apply(eye: Var) -> Var:
        if node.has(_SIZES):
            sizes = op.Concat(shapes.dim_tensor(op, node.raw(0), axis), shapes.dim_tensor(op, node.y, axis), axis=0)
            return op.Resize(eye, None, None, sizes, **attributes)
        return op.Resize(eye, None, _scales(op, node, axis), **attributes)

    return apply


def _scales(op: Builder, node: NodeView, axis: int) -> Var:
    axes = [a % node.rank() for a in node.integers("axes") or range(node.rank())]
    position = axes.index(axis)
    fixed = node.constant(2)
    if fixed is not None:
        return op.const(np.array([1.0, fixed[position]], np.float32))
    if not node.has(2):
        raise UnknownShapeError("it has neither scales nor sizes")
    one = op.const(np.ones(1, np.float32))
    return op.Concat(one, op.Slice(node.raw(2), [position], [position + 1], [0]), axis=0)
