"""Sums of products over named axes."""

from __future__ import annotations

import string

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, vjp

_ELLIPSIS = "..."


@vjp("Einsum", since=12)
def einsum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y[out] = sum of the operands' products: dx_i[in_i] = sum of dy times the other operands.

    Letters that an operand alone has, and no result, are summed in y: dx is repeated along them. A letter that an
    operand repeats reads its diagonal: dx is 0 off it.
    """
    terms, result = _terms(node)
    return [_operand(op, node, dy, terms, result, index) if node.needs(index) else None for index in range(len(terms))]


def _terms(node: NodeView) -> tuple[list[str], str]:
    """Return one letter an axis for each operand and for the result; the ellipsis gets letters of its own."""
    left, arrow, right = node.text("equation", "").replace(" ", "").partition("->")
    given = left.split(",")
    free = [c for c in string.ascii_letters if c not in left + right]
    counts = [
        node.rank(i) - len(term.replace(_ELLIPSIS, "")) if _ELLIPSIS in term else 0 for i, term in enumerate(given)
    ]
    wide = free[: max(counts)]
    terms = [term.replace(_ELLIPSIS, "".join(wide[len(wide) - n :])) for term, n in zip(given, counts, strict=True)]
    if not arrow:
        letters = left.replace(_ELLIPSIS, "").replace(",", "")
        right = _ELLIPSIS + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    return terms, right.replace(_ELLIPSIS, "".join(wide))


def _operand(op: Builder, node: NodeView, dy: Var, terms: list[str], result: str, index: int) -> Var:
    x, term = node.raw(index), terms[index]
    others = [(other, node.input(i)) for i, other in enumerate(terms) if i != index]
    reached = set(result).union(*(other for other, _ in others))
    unique = "".join(dict.fromkeys(term))
    shared = "".join(c for c in unique if c in reached)
    equation = ",".join([result, *(other for other, _ in others)]) + "->" + shared
    dx = op.Einsum(dy, *(value for _, value in others), equation=equation)
    sizes = [shapes.dim_tensor(op, x, term.index(c)) for c in unique]
    if shared != unique:
        dx = op.Unsqueeze(dx, [axis for axis, c in enumerate(unique) if c not in shared])
    if unique:
        # An axis that y has summed, or that was broadcast from size 1 in y, is repeated to the operand's size.
        dx = _fitted(op, dx, sizes, unique, terms, index, node)
    return _off_diagonal(op, dx, x, term, unique) if unique != term else dx


def _fitted(op: Builder, dx: Var, sizes: list[Var], unique: str, terms: list[str], index: int, node: NodeView) -> Var:
    """Repeat along axes that y summed alone, and sum along those on which this operand was broadcast."""
    target = op.Concat(*sizes, axis=0) if len(sizes) > 1 else sizes[0]
    dx = op.Expand(dx, target)
    broadcast = [c for c in unique if _may_broadcast(node, terms, index, c)]
    for c in broadcast:
        axis = unique.index(c)
        one = op.Equal(sizes[axis], 1)
        dx = op.Where(one, op.ReduceSum(dx, [axis], keepdims=1), dx)
        dx = op.Slice(dx, [0], sizes[axis], [axis])
    return dx


def _may_broadcast(node: NodeView, terms: list[str], index: int, letter: str) -> bool:
    """Whether an operand may have size 1 on an axis where another has more."""
    own = _size(node, index, terms[index].index(letter))
    if isinstance(own, int) and own != 1:
        return False
    for other, term in enumerate(terms):
        if other != index and letter in term:
            size = _size(node, other, term.index(letter))
            if size != own and size != 1:
                return True
    return False


def _size(node: NodeView, index: int, axis: int) -> int | str | None:
    shape = node.shape(index)
    return None if shape is None else shape[axis]


def _off_diagonal(op: Builder, dx: Var, x: Var, term: str, unique: str) -> Var:
    """Put numbers on the diagonal of the axes that share a letter, zeros off it."""
    # The first axis of each letter stays, the others are added and masked.
    order = sorted(range(len(unique)), key=lambda i: term.index(unique[i]))
    assert order == list(range(len(unique)))
    again = [axis for axis, c in enumerate(term) if axis != term.index(c)]
    full = op.Expand(op.Unsqueeze(dx, again), op.Shape(x))
    for axis in again:
        first = term.index(term[axis])
        positions = [shapes.index_along(op, x, a, len(term)) for a in (first, axis)]
        full = op.Where(op.Equal(*positions), full, 0)
    return full
