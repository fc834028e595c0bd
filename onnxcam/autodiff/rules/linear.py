"""Matrix products."""

from __future__ import annotations

from onnxcam.autodiff.builder import Builder, Shape, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, vjp
from onnxcam.autodiff.shapes import transpose, unbroadcast


@vjp("Gemm", since=7)
def gemm(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = alpha A' B' + beta C, where ' is an optional transposition."""
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    trans_a, trans_b = node.integer("transA", 0), node.integer("transB", 0)
    da = db = dc = None
    if node.needs(0):
        b = node.input(1)
        da = (
            op.Gemm(b, dy, alpha=alpha, transA=trans_b, transB=1)
            if trans_a
            else op.Gemm(dy, b, alpha=alpha, transB=1 - trans_b)
        )
    if node.needs(1):
        a = node.input(0)
        db = (
            op.Gemm(dy, a, alpha=alpha, transA=1, transB=trans_a)
            if trans_b
            else op.Gemm(a, dy, alpha=alpha, transA=1 - trans_a)
        )
    if node.needs(2):
        dc = unbroadcast(op, dy * beta, node.y.shape, node.raw(2))
    return da, db, dc


@vjp("MatMul")
def matmul(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = A B over the last two axes: dA = dy B^T, dB = A^T dy; leading axes broadcast."""
    a, b = node.input(0), node.input(1)
    rank_a, rank_b = node.rank(0), node.rank(1)
    # Vectors take part as matrices with one row or one column, which the result does not show.
    if rank_b == 1:
        b, dy = op.Unsqueeze(b, [1]), op.Unsqueeze(dy, [-1])
    if rank_a == 1:
        a, dy = op.Unsqueeze(a, [0]), op.Unsqueeze(dy, [-2])
    batch = _batch(node.shape(0), node.shape(1))
    da = db = None
    if node.needs(0):
        da = op.MatMul(dy, transpose(op, b, -1, -2, max(rank_b, 2)))
        da = op.Squeeze(da, [-2]) if rank_a == 1 else da
        da = _undo(op, da, batch, node.raw(0))
    if node.needs(1):
        db = op.MatMul(transpose(op, a, -1, -2, max(rank_a, 2)), dy)
        db = op.Squeeze(db, [-1]) if rank_b == 1 else db
        db = _undo(op, db, batch, node.raw(1))
    return da, db


@vjp("Inverse", domain="com.microsoft")
def inverse(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Y = X^-1 over the last two axes: dX = -Y^T dY Y^T."""
    y = transpose(op, node.y, -1, -2, node.rank(0))
    return (-op.MatMul(op.MatMul(y, dy), y),)


def _batch(a: Shape | None, b: Shape | None) -> Shape:
    """Return the broadcast leading axes of a product, None where they are not known."""
    left, right = (a or ())[:-2], (b or ())[:-2]
    rank = max(len(left), len(right))
    left, right = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    return tuple(n if m == 1 or n == m else m if n == 1 else None for m, n in zip(left, right, strict=True))


def _undo(op: Builder, d: Var, batch: Shape, x: Var) -> Var:
    """Sum over the leading axes along which an operand was repeated; its own last axes are as they were."""
    shape = x.shape or ()
    return unbroadcast(op, d, batch + shape[-2:] if len(shape) > 1 else batch + shape, x)
