"""Tokens of a transformer: which of them the score reads, and what places they stand for."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.errors import UnsupportedError
from onnxcam.graph.layout import Axes

_ATTENTION = {"Softmax", "Attention", "MultiHeadAttention"}
_REDUCTIONS = {"ReduceMean", "ReduceSum", "ReduceMax"}
_POOLS = {"Conv", "GlobalAveragePool", "AveragePool", "MaxPool", "GlobalMaxPool"}
# Tokens for class, distillation and four registers are what networks have in front.
_USUAL_EXTRAS = (0, 1, 2, 4, 5, 6)


def is_mixed(value: ir.Value, axes: dict[ir.Value, Axes], on_way: set[ir.Value]) -> bool:
    """Whether something on the way to the score still brings the tokens of a value together."""
    waiting, seen = [value], {value}
    while waiting:
        for node in waiting.pop().consumers():
            reached = [v for v in node.outputs if v in on_way and v not in seen]
            if not reached:
                continue
            if node.op_type in _ATTENTION | _POOLS or _joins_tokens(node, axes):
                return True
            seen.update(reached)
            waiting += reached
    return False


def _joins_tokens(node: ir.Node, axes: dict[ir.Value, Axes]) -> bool:
    source = node.inputs[0]
    known = axes.get(source) if source is not None else None
    if known is None or "T" not in known.letters:
        return False
    if node.op_type in ("Flatten", "Reshape"):
        shape = node.outputs[0].shape
        return shape is not None and len(shape) == 2
    if node.op_type not in _REDUCTIONS or len(node.inputs) < 2 or node.inputs[1] is None:
        return False
    given = node.inputs[1].const_value
    reduced = [] if given is None else [int(axis) % len(known.letters) for axis in given.numpy()]
    return known.letters.index("T") in reduced


def to_places(
    array: npt.NDArray[Any], grid: tuple[int, ...], before: int, after: int, wanted: tuple[int, ...] | None = None
) -> npt.NDArray[Any]:
    """Return tokens as places.

    Args:
        array: ``[N, C, T]``.
        grid: rows and columns as the graph tells them, or empty.
        before: tokens in front that stand for no place.
        after: such tokens behind.
        wanted: rows and columns that the user gives; the extra tokens are then looked for in front.

    Returns:
        ``[N, C, rows, columns]``.

    Raises:
        UnsupportedError: the grid is not known and the number of tokens does not suggest a square.
    """
    count = array.shape[2]
    grid, before, after = arrangement(count, grid, before, after, wanted)
    return array[:, :, before : count - after].reshape(*array.shape[:2], *grid)


def arrangement(
    count: int, grid: tuple[int, ...], before: int, after: int, wanted: tuple[int, ...] | None = None
) -> tuple[tuple[int, ...], int, int]:
    """Return rows and columns of ``count`` tokens, and how many in front and behind stand for no place.

    Raises:
        UnsupportedError: the grid is not known and the number of tokens does not suggest a square.
    """
    if wanted is not None:
        before = count - int(np.prod(wanted))
        if before < 0:
            raise UnsupportedError(
                f"{count} tokens do not fill a grid of {wanted[0]} x {wanted[1]}; give another --grid"
            )
        return wanted, before, 0
    if not grid or count - before - after != int(np.prod(grid)):
        grid, before = _square(count - after, before)
    return grid, before, after


def _square(count: int, before: int) -> tuple[tuple[int, int], int]:
    """Guess a square grid behind the usual numbers of extra tokens."""
    for extra in dict.fromkeys((before, *_USUAL_EXTRAS)):
        side = isqrt(max(count - extra, 0))
        if side > 1 and side * side == count - extra:
            return (side, side), extra
    raise UnsupportedError(f"{count} tokens stand for no square of places; give the grid with --grid ROWSxCOLUMNS")
