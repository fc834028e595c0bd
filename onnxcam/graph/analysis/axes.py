"""What the axes of a value mean: batch, channels and space, followed through the graph.

Convolutions and pools fix the meaning of their axes; element-wise operators keep it, Transpose moves it, Reshape joins
space to tokens and splits it again, and where an operator mixes axes it is lost until a residual sum brings it back, or
until a convolution or a pool reads the value.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from onnxcam.graph.operators import Trait, operators_with

# One letter an axis: N batch, C channels, D H W space, T tokens.
AXES_BY_RANK = {3: "NCW", 4: "NCHW", 5: "NCDHW"}
_SPACE = "DHWT"

TAKE_CHANNELS_FIRST = operators_with(Trait.CHANNELS_FIRST)
# Of these, the ones that leave every number at its position: what is known of their input still holds.
_NORMALIZATIONS = TAKE_CHANNELS_FIRST & operators_with(Trait.NORMALISES)
# Operators whose input can only be an image; Reshapes give others groups of channels to normalise.
_TAKE_IMAGES = TAKE_CHANNELS_FIRST - _NORMALIZATIONS | {"BatchNormalization"}
_AVERAGES = {"ReduceMean"}
_IMAGE_RANK = 4
_MIX_AXES = operators_with(Trait.NEW_AXES)
_RESHAPES = operators_with(Trait.RESHAPES)


@dataclass(frozen=True)
class Axes:
    """What the axes of a value mean.

    Attributes:
        letters: one an axis: N batch, C channels, D H W space, T tokens.
        grid: rows and columns of the positions that tokens stand for; empty where there are no tokens or it is unknown.
        before: tokens before these that stand for no position (class, register, distillation).
        after: such tokens after them.
    """

    letters: str
    grid: tuple[int, ...] = ()
    before: int = 0
    after: int = 0


def axis_meanings(graph: ir.Graph) -> dict[ir.Value, Axes]:
    """Return for each value whose axes are understood what they mean."""
    known: dict[ir.Value, Axes] = {}
    after: set[ir.Value] = set()
    for node in graph:
        found = _meaning(node, known)
        # What is computed from the image alone, before the first layer, is still the image.
        follows = any(value in after or value in known for value in node.inputs)
        for value in node.outputs:
            meaning = found or (_as_read(value) if follows else None)
            if meaning is not None and value.shape is not None and len(value.shape) == len(meaning.letters):
                known[value] = meaning
        if follows:
            after.update(node.outputs)
    return {value: meaning for value, meaning in known.items() if meaning.letters.isupper()}


def _as_read(value: ir.Value) -> Axes | None:
    """Return what a convolution or a pool takes the axes of an image for, whatever has been computed before it."""
    rank = 0 if value.shape is None else len(value.shape)
    if rank < _IMAGE_RANK or not any(_reads_image(node, value, rank) for node in value.consumers()):
        return None
    return Axes(AXES_BY_RANK[rank]) if rank in AXES_BY_RANK else None


def _reads_image(node: ir.Node, value: ir.Value, rank: int) -> bool:
    if node.domain or node.inputs[0] is not value:
        return False
    if node.op_type not in _AVERAGES:
        return node.op_type in _TAKE_IMAGES
    # A global average pool, written out.
    given = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    axes = [] if given is None else sorted(int(axis) % rank for axis in given.numpy().reshape(-1))
    return axes == list(range(2, rank))


def _meaning(node: ir.Node, known: dict[ir.Value, Axes]) -> Axes | None:
    rank = None if node.outputs[0].shape is None else len(node.outputs[0].shape)
    given = [known[value] for value in node.inputs if value is not None and value in known]
    if node.op_type in _NORMALIZATIONS and not given and _producer(node, _RESHAPES) is not None:
        return None  # groups of channels are normalised; what is put in a row with space then is no position
    if node.op_type in TAKE_CHANNELS_FIRST and not (given and node.op_type in _NORMALIZATIONS):
        letters = AXES_BY_RANK.get(rank or 0)
        # Rows and columns may have been exchanged before.
        turned = known.get(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
        if turned is not None and letters is not None and sorted(turned.letters) == sorted(letters):
            letters = turned.letters if turned.letters.startswith("NC") else letters
        return None if letters is None else Axes(letters)
    if node.op_type in _RESHAPES and not given:
        return _regrouped(node, known)
    if not given or node.op_type in _MIX_AXES:
        return None
    if node.op_type in _RESHAPES:
        return _reshaped(node, known)
    if node.op_type == "MatMul":
        return _multiplied(node, known)
    first = max(given, key=lambda axes: len(axes.letters))
    if node.op_type == "Transpose":
        perm = node.attributes.get_ints("perm", None) or list(range(len(first.letters)))[::-1]
        return Axes("".join(first.letters[axis] for axis in perm), first.grid, first.before, first.after)
    if node.op_type == "Concat":
        return _joined(node, known, first)
    if node.op_type in ("Slice", "Split") and "T" in first.letters:
        return _sliced(node, first)
    return first


def _producer(node: ir.Node, kinds: Collection[str]) -> ir.Node | None:
    """Return the node that makes what another one reads first, if it is of one of some kinds."""
    made = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    return made if made is not None and not made.domain and made.op_type in kinds else None


def _regrouped(node: ir.Node, known: dict[ir.Value, Axes]) -> Axes | None:
    """Undo the reshape before a normalisation of groups of channels, as GroupNorm is exported."""
    normalization = _producer(node, _NORMALIZATIONS)
    grouped = None if normalization is None else _producer(normalization, _RESHAPES)
    source = None if grouped is None else grouped.inputs[0]
    if source is None or _sizes(source)[1:] != _sizes(node.outputs[0])[1:]:
        return None
    return known.get(source)


def _sizes(value: ir.Value | None) -> list[int | None]:
    if value is None or value.shape is None:
        return []
    return [dim if isinstance(dim, int) else None for dim in value.shape]


def _reshaped(node: ir.Node, known: dict[ir.Value, Axes]) -> Axes | None:
    """Follow the two reshapes that keep positions in order: space joined to tokens, and tokens split into space."""
    source = node.inputs[0]
    axes = known.get(source) if source is not None else None
    if axes is None:
        return None
    old, new = _sizes(source), _sizes(node.outputs[0])
    letters = axes.letters
    if letters in ("NCHW", "NHWC") and len(new) == 3:
        start = letters.index("H")
        space = old[start : start + 2]
        joined, channels = new[start], new[3 - start]
        sizes = [size for size in space if size is not None]
        if channels == old[letters.index("C")] and (joined is None or len(sizes) < 2 or joined == prod(sizes)):
            return Axes("NCT" if letters == "NCHW" else "NTC", tuple(sizes) if len(sizes) == 2 else ())
    if letters in ("NCT", "NTC") and len(new) == 4 and not axes.before and not axes.after:
        channels = new[1] if letters == "NCT" else new[3]
        rows, columns = new[2:] if letters == "NCT" else new[1:3]
        if channels == old[letters.index("C")] and (not axes.grid or (rows, columns) == axes.grid):
            return Axes("NCHW" if letters == "NCT" else "NHWC")
    return _in_patches(letters, old, new)


def _in_patches(letters: str, old: Sequence[int | None], new: Sequence[int | None]) -> Axes | None:
    """Follow rows and columns that are cut into patches, each of which becomes one position: patch merging.

    While a patch still has its axes, they are ``h`` and ``w``, and ``H`` and ``W`` count patches.
    """
    if letters in ("NCHW", "NHWC") and len(new) == 6 and None not in (*old[1:], *new[1:]):
        start = letters.index("H")
        sides = [new[start] or 0, new[start + 1] or 0, new[start + 2] or 0, new[start + 3] or 0]
        cut = [sides[0] * sides[1], sides[2] * sides[3]] == list(old[start : start + 2])
        if cut and new[1 if start == 2 else 5] == old[letters.index("C")]:
            return Axes(letters.replace("HW", "HhWw"))
    if len(letters) == 6 and len(new) == 4:
        if letters.startswith("NHW") and new[1:3] == old[1:3]:
            return Axes("NHWC")
        if letters.endswith("HW") and new[2:] == old[4:]:
            return Axes("NCHW")
    return None


def _multiplied(node: ir.Node, known: dict[ir.Value, Axes]) -> Axes | None:
    """Follow a product with a matrix of weights, which mixes channels, the last axis, at each position."""
    left, right = node.inputs[0], node.inputs[1]
    axes = known.get(left) if left is not None else None
    constant = right is not None and right.const_value is not None and len(_sizes(right)) == 2
    return axes if axes is not None and constant and axes.letters.endswith("C") else None


def _joined(node: ir.Node, known: dict[ir.Value, Axes], axes: Axes) -> Axes | None:
    """Follow tokens that stand for no position and are put before the others, or after them."""
    axis = node.attributes.get_int("axis", 0) % len(axes.letters)
    if axes.letters[axis] != "T":
        if axes.letters[axis] in "NC" or all(value in known for value in node.inputs):
            return axes
        # The positions of a signal become tokens beside a class token; what is put beside an image is no part of it.
        sizes = [_sizes(value)[axis] for value in node.inputs if value in known]
        if len(axes.letters) != 3 or len(sizes) != 1 or sizes[0] is None:
            return None
        axes = Axes(axes.letters.replace(axes.letters[axis], "T"), (sizes[0],))
    before, after, seen = axes.before, axes.after, False
    for value in node.inputs:
        if value is not None and value in known:
            if seen:
                # Tokens of two kinds, for instance of two scales, have no grid in common.
                return None
            seen = True
            continue
        sizes = _sizes(value)
        count = sizes[axis] if len(sizes) == len(axes.letters) else None
        if count is None:
            return None
        before, after = (before, after + count) if seen else (before + count, after)
    return Axes(axes.letters, axes.grid, before, after)


def _sliced(node: ir.Node, axes: Axes) -> Axes | None:
    """Follow a slice that cuts off leading tokens; after any other, the positions of the tokens are unknown."""
    axis = axes.letters.index("T")
    if node.op_type == "Slice" and not _takes_every_position(node):
        return None
    old, new = _sizes(node.inputs[0])[axis], _sizes(node.outputs[0])[axis]
    if old is not None and old == new:
        return axes
    bounds = [value.const_value for value in node.inputs[1:4] if value is not None]
    if node.op_type != "Slice" or len(bounds) < 3 or any(bound is None for bound in bounds):
        return None
    starts, ends, sliced = ([int(n) for n in bound.numpy()] for bound in bounds if bound is not None)
    if [a % len(axes.letters) for a in sliced] != [axis] or ends[0] < 2**31 - 1 or not 0 <= starts[0] <= axes.before:
        return None
    return Axes(axes.letters, axes.grid, axes.before - starts[0], axes.after)


def _takes_every_position(node: ir.Node) -> bool:
    """Whether all steps of a Slice are known to be 1."""
    steps = node.inputs[4] if len(node.inputs) > 4 else None
    return steps is None or (steps.const_value is not None and bool((steps.const_value.numpy() == 1).all()))


def spatial_axes(letters: str) -> list[int]:
    """Return the positions of the axes that span space, those of an image's depth, rows and columns in this order."""
    return sorted((axis for axis, letter in enumerate(letters) if letter in _SPACE), key=letters.__getitem__)


def channels_first(letters: str) -> list[int]:
    """Return the permutation that brings a value into the order batch, channels, space."""
    return [letters.index("N"), letters.index("C"), *spatial_axes(letters)]
