"""Adjoints of linear operators that act on one axis at a time, as products with their matrices.

Applied to an identity matrix such an operator gives its own matrix, whatever its attributes: the adjoint is the product
with the transposed matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var


def identity_matrix(op: Builder, size: int | Var, like: Var) -> Var:
    """Return the identity of the given size in the type of ``like``."""
    if isinstance(size, int):
        return op.const(np.eye(size), like.dtype)
    square = op.Expand(op.const(0, like.dtype), op.Concat(size, size, axis=0))
    return op.EyeLike(square)


def along_axis(op: Builder, dy: Var, x: Var, axis: int, rank: int, apply: Callable[[Var], Var]) -> Var:
    """Apply the adjoint of an operator along one axis.

    Args:
        op: where to write.
        dy: cotangent whose ``axis`` has the size of the result.
        x: value whose ``axis`` has the size before.
        axis: non-negative.
        rank: of ``dy``.
        apply: applies the operator to a matrix along axis 1.
    """
    matrix = apply(identity_matrix(op, shapes.dim(op, x, axis), dy))
    if axis == rank - 2:
        return op.MatMul(matrix, dy)
    back = op.Transpose(matrix, perm=[1, 0])
    if axis == rank - 1:
        return op.MatMul(dy, back)
    moved = op.MatMul(shapes.transpose(op, dy, axis, -1, rank), back)
    return shapes.transpose(op, moved, axis, -1, rank)
