"""Resizing, one axis at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnxcam.autodiff import shapes
from onnxcam.autodiff.axis_linear import along_axis
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.registry import Cotangents, vjp

_STRINGS = ("mode", "coordinate_transformation_mode", "nearest_mode")
_FLOATS = ("cubic_coeff_a", "extrapolation_value")
_INTS = ("exclude_outside", "antialias")
_SIZES = 3


@vjp("Resize", since=11, inputs=[0])
def resize(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = interpolation of x: dx = dy times the transposed interpolation matrix of each axis."""
    rank = node.rank()
    for axis in resized_axes(node, rank):
        dy = along_axis(op, dy, node.raw(0), axis, rank, resizer(op, node, axis))
    return (dy,)


def resized_axes(node: NodeView, rank: int) -> list[int]:
    """Return the axes that may change, the last ones last."""
    chosen = _axes(node)
    before, after = node.shape() or (), node.y.shape or ()
    if len(after) != rank:
        return chosen
    fixed, roi = node.constant(2), node.constant(1) if _crops(node) else None
    return [
        axis
        for position, axis in enumerate(chosen)
        if (_crops(node) and (roi is None or roi[position] != 0 or roi[position + len(chosen)] != 1))
        or not (
            (before[axis] is not None and before[axis] == after[axis])
            or (fixed is not None and fixed.size and fixed[position] == 1)
        )
    ]


def _axes(node: NodeView) -> list[int]:
    """Return the axes that sizes, scales and regions are given for."""
    rank = node.rank()
    return [axis % rank for axis in node.integers("axes") or range(rank)]


def _crops(node: NodeView) -> bool:
    return node.text("coordinate_transformation_mode", "") == "tf_crop_and_resize"


def resizer(op: Builder, node: NodeView, axis: int) -> Callable[[Var], Var]:
    """Return the same interpolation for a matrix along axis 1."""
    attributes: dict[str, int | float | str] = {}
    present = node.node.attributes
    attributes |= {name: node.text(name, "") for name in _STRINGS if name in present}
    attributes |= {name: node.number(name, 0.0) for name in _FLOATS if name in present}
    attributes |= {name: node.integer(name, 0) for name in _INTS if name in present}
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        return lambda eye: _keeping_aspect(op, node, axis, eye, attributes)
    roi = _region(op, node, axis) if _crops(node) else None
    if roi is not None:
        # What is put where the region leaves the image is a constant.
        attributes["extrapolation_value"] = 0.0

    def apply(eye: Var) -> Var:
        if node.has(_SIZES):
            sizes = op.Concat(shapes.dim_tensor(op, node.raw(0), axis), shapes.dim_tensor(op, node.y, axis), axis=0)
            return op.Resize(eye, roi, None, sizes, **attributes)
        return op.Resize(eye, roi, _scales(op, node, axis), **attributes)

    return apply


def _region(op: Builder, node: NodeView, axis: int) -> Var:
    """Return the region of a matrix: all of its first axis, and of its second what is cut out of this one."""
    position, count = _axes(node).index(axis), len(_axes(node))
    start, end = (op.Slice(node.input(1), [at], [at + 1], [0]) for at in (position, position + count))
    zero, one = op.const(np.zeros(1, np.float32)), op.const(np.ones(1, np.float32))
    return op.Concat(zero, start, one, end, axis=0)


def _keeping_aspect(op: Builder, node: NodeView, axis: int, eye: Var, attributes: dict[str, int | float | str]) -> Var:
    """Resize a matrix by the scale that all axes decide on together: they stand beside it, constant along them."""
    axes = _axes(node)
    position, others = axes.index(axis), [a for a in range(len(axes)) if axes[a] != axis]
    added = [a + 1 for a in others]
    sizes = [shapes.dim_tensor(op, node.raw(0), a) for a in axes]
    wide = op.Expand(op.Unsqueeze(eye, added), op.Concat(sizes[position], *sizes, axis=0)) if others else eye
    resized = op.Resize(
        wide,
        None,
        None,
        node.raw(_SIZES),
        axes=list(range(1, len(axes) + 1)),
        keep_aspect_ratio_policy=node.text("keep_aspect_ratio_policy", ""),
        **attributes,
    )
    if not others:
        return resized
    return op.Squeeze(op.Slice(resized, [0] * len(others), [1] * len(others), added), added)


def _scales(op: Builder, node: NodeView, axis: int) -> Var:
    position = _axes(node).index(axis)
    fixed = node.constant(2)
    if fixed is not None:
        return op.const(np.array([1.0, fixed[position]], np.float32))
    if not node.has(2):
        raise UnknownShapeError("it has neither scales nor sizes")
    one = op.const(np.ones(1, np.float32))
    return op.Concat(one, op.Slice(node.raw(2), [position], [position + 1], [0]), axis=0)
