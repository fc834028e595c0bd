"""Tokens of a transformer: which of them the score depends on, and what positions they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.axes import Axes
from onnxcam.graph.analysis.subgraphs import reads
from onnxcam.graph.operators import Trait, operators_with

_ATTENTION = {"Softmax", "Attention", "MultiHeadAttention"}
_REDUCTIONS = operators_with(Trait.REDUCES)
_POOLS = operators_with(Trait.POOLS) | {"Conv"}
# Which tokens a value takes from those that its node reads along an axis; None where the file does not say.
_Pick: TypeAlias = Callable[[ir.Node, ir.Value, int, npt.NDArray[Any]], npt.NDArray[Any] | None]
# Tokens for class, distillation and four registers are what networks have before the others.
_USUAL_EXTRAS = (0, 1, 2, 4, 5, 6)


def mixed_values(nodes: Sequence[ir.Node], on_path: set[ir.Value], axes: dict[ir.Value, Axes]) -> set[ir.Value]:
    """Return the values whose tokens something still mixes before the score.

    Args:
        nodes: those on the paths to the score, in order.
        on_path: the values on these paths.
        axes: what the axes of values mean.
    """
    found: set[ir.Value] = set()
    for node in reversed(nodes):
        results = [value for value in node.outputs if value in on_path and not is_extra(value, axes)]
        mixes = node.op_type in _ATTENTION | _POOLS or _joins_tokens(node, axes)
        if results and (mixes or not found.isdisjoint(results)):
            found.update(reads(node))
    return found


def is_extra(value: ir.Value, axes: dict[ir.Value, Axes]) -> bool:
    """Whether a value holds tokens that stand for no position alone, taken from others: the class token, for instance.

    Args:
        value: what a Slice, a Gather or a Split gives.
        axes: what the axes of values mean.
    """
    node = value.producer()
    source = node.inputs[0] if node is not None and node.op_type in _PICKS and not node.domain else None
    known = axes.get(source) if source is not None else None
    if node is None or source is None or source.shape is None or known is None or "T" not in known.letters:
        return False
    axis = known.letters.index("T")
    count = source.shape[axis]
    if not isinstance(count, int):
        # Of an open number of positions one is enough: what takes it is none of the extra tokens alone.
        count = known.before + 1 + known.after
    taken = _PICKS[node.op_type](node, value, axis, np.arange(count))
    return taken is not None and all(not known.before <= token < count - known.after for token in taken)


def _rank(node: ir.Node) -> int:
    source = node.inputs[0]
    return 0 if source is None or source.shape is None else len(source.shape)


def _sliced(node: ir.Node, value: ir.Value, axis: int, tokens: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    bounds = [None if entry is None else entry.const_value for entry in node.inputs[1:]]
    if len(bounds) < 3 or any(bound is None for bound in bounds):
        return None
    starts, ends, axes, *steps = ([int(n) for n in bound.numpy().reshape(-1)] for bound in bounds if bound is not None)
    if len(axes) != 1 or axes[0] not in (axis, axis - _rank(node)):
        return None
    return tokens[starts[0] : ends[0] : steps[0][0] if steps else 1]


def _gathered(node: ir.Node, value: ir.Value, axis: int, tokens: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    indices = None if node.inputs[1] is None else node.inputs[1].const_value
    if indices is None or node.attributes.get_int("axis", 0) not in (axis, axis - _rank(node)):
        return None
    return np.asarray(tokens[indices.numpy().reshape(-1)])


def _split(node: ir.Node, value: ir.Value, axis: int, tokens: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    if node.attributes.get_int("axis", 0) not in (axis, axis - _rank(node)):
        return None
    sizes = [None if one.shape is None else one.shape[axis] for one in node.outputs]
    numbers = [size for size in sizes if isinstance(size, int)]
    start = sum(numbers[: node.outputs.index(value)])
    return tokens[start:][: numbers[node.outputs.index(value)]] if len(numbers) == len(sizes) else None


_PICKS: dict[str, _Pick] = {"Slice": _sliced, "Gather": _gathered, "Split": _split}


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


def to_grid(
    array: npt.NDArray[Any],
    grid: tuple[int, ...],
    before: int,
    after: int,
    wanted: tuple[int, ...] | None = None,
    extent: tuple[int, ...] = (),
) -> npt.NDArray[Any]:
    """Return tokens arranged on their grid.

    Args:
        array: ``[N, C, T]``.
        grid: rows and columns as found in the graph, or empty.
        before: leading tokens that stand for no position.
        after: such tokens at the end.
        wanted: rows and columns that the user gives; all extra tokens then count as leading ones.
        extent: of the image, whose patches the tokens may be; a square is guessed where it is not given.

    Returns:
        ``[N, C, rows, columns]``.

    Raises:
        UnsupportedError: the grid is not known, and the tokens are no patches of the image nor a square.
    """
    count = array.shape[2]
    grid, before, after = token_grid(count, grid, before, after, wanted, extent)
    return array[:, :, before : count - after].reshape(*array.shape[:2], *grid)


def token_grid(
    count: int,
    grid: tuple[int, ...],
    before: int,
    after: int,
    wanted: tuple[int, ...] | None = None,
    extent: tuple[int, ...] = (),
) -> tuple[tuple[int, ...], int, int]:
    """Return rows and columns of ``count`` tokens, and how many before and after stand for no position.

    Raises:
        UnsupportedError: the grid is not known, and the tokens are no patches of the image nor a square.
    """
    if wanted is not None:
        before = count - int(np.prod(wanted))
        if before < 0:
            raise UnsupportedError(
                f"{count} tokens do not fill a grid of {wanted[0]} x {wanted[1]}; give another --grid"
            )
        return wanted, before, 0
    if not grid or count - before - after != int(np.prod(grid)):
        grid, before = _guessed(count - after, before, extent)
    return grid, before, after


def _guessed(count: int, before: int, extent: tuple[int, ...]) -> tuple[tuple[int, int], int]:
    """Guess the grid after a usual number of extra tokens: square patches of the image, or a square."""
    extras = list(dict.fromkeys((before, *_USUAL_EXTRAS)))
    if len(extent) == 2:
        exact, cut = _patches(*extent)
        tried = [(grid, extra) for extra in extras for grid in exact] + [(grid, before) for grid in cut]
    else:
        tried = [((side, side), extra) for extra in extras for side in range(isqrt(count), 1, -1)]
    for (rows, columns), extra in tried:
        if rows * columns == count - extra > 1:
            return (rows, columns), extra
    raise UnsupportedError(f"{count} tokens suggest no grid of positions; give it with --grid ROWSxCOLUMNS")


def _patches(height: int, width: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the grids of square patches: those that fit exactly, and those that cut off or pad the remainder."""
    sides = range(1, min(height, width) + 1)
    exact = [(height // side, width // side) for side in sides if not height % side and not width % side]
    cut = [(height // side, width // side) for side in sides]
    return exact, cut + [(-(-height // side), -(-width // side)) for side in sides]
