"""Operators that compute each position from that position alone, and where its channels are then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from onnxcam.graph.operators import Trait, operators_with

_ELEMENTWISE = operators_with(Trait.ELEMENTWISE | Trait.CONVERTS)
_REDUCTIONS = operators_with(Trait.REDUCES)
_RESHAPES = operators_with(Trait.RESHAPES)


def channels_after(node: ir.Node, source: ir.Value, channels: int) -> int | None:
    """Return the channel axis of a node's results, or None where the node mixes positions or nothing is known.

    Args:
        node: reads ``source``.
        source: each of its positions is a vector along the channel axis.
        channels: that axis.
    """
    result = node.outputs[0]
    if node.domain != "" or source.shape is None or result.shape is None:
        return None
    ranks = len(source.shape), len(result.shape)
    if node.op_type in _ELEMENTWISE:
        return channels + ranks[1] - ranks[0]
    if node.op_type in _RESHAPES:
        return _after_reshape(source.shape, result.shape, channels)
    rule = _RULES.get("Reduce" if node.op_type in _REDUCTIONS else node.op_type)
    return None if rule is None else rule(node, ranks[0], channels)


def _after_reshape(old: ir.Shape, new: ir.Shape, channels: int) -> int | None:
    """Follow channels on the last axis, and on the second one where samples and channels keep theirs."""
    if not len(new) or not isinstance(old[channels], int):
        return None
    if channels == len(old) - 1:
        return len(new) - 1 if new[-1] == old[-1] else None
    return 1 if channels == 1 and len(new) > 2 and old[1] == new[1] and old[0] == new[0] else None


def _after_transpose(node: ir.Node, rank: int, channels: int) -> int | None:
    return list(node.attributes.get_ints("perm", range(rank)[::-1])).index(channels)


def _after_reduction(node: ir.Node, rank: int, channels: int) -> int | None:
    given = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    axes = [] if given is None else [int(axis) for axis in given.numpy().reshape(-1)]
    kept = node.attributes.get_int("keepdims", 1)
    return channels if kept and _are_channels(axes, rank, channels) else None


def _after_last_axes(node: ir.Node, rank: int, channels: int) -> int | None:
    """Follow a normalisation over an axis and all that follow it."""
    alone = node.attributes.get_int("axis", -1) % rank == rank - 1 == channels
    return channels if alone else None


def _after_mean_variance(node: ir.Node, rank: int, channels: int) -> int | None:
    return channels if _are_channels(node.attributes.get_ints("axes", [0, 2, 3]), rank, channels) else None


def _after_norm(node: ir.Node, rank: int, channels: int) -> int | None:
    return channels if _are_channels([node.attributes.get_int("axis", -1)], rank, channels) else None


def _are_channels(axes: Sequence[int], rank: int, channels: int) -> bool:
    return [axis % rank for axis in axes] == [channels]


def _along_another(node: ir.Node, rank: int, channels: int) -> int | None:
    """Follow what joins or separates positions."""
    return channels if node.attributes.get_int("axis", 0) % rank != channels else None


def _after_slice(node: ir.Node, rank: int, channels: int) -> int | None:
    axes = node.inputs[3].const_value if len(node.inputs) > 3 and node.inputs[3] is not None else None
    return channels if axes is not None and channels not in [int(axis) % rank for axis in axes.numpy()] else None


def _after_gather(node: ir.Node, rank: int, channels: int) -> int | None:
    axis, indices = node.attributes.get_int("axis", 0) % rank, node.inputs[1]
    if axis == channels or indices is None or indices.shape is None:
        return None
    return channels + len(indices.shape) - 1 if axis < channels else channels


_RULES: dict[str, Callable[[ir.Node, int, int], int | None]] = {
    "Transpose": _after_transpose,
    "Reduce": _after_reduction,
    "LayerNormalization": _after_last_axes,
    "RMSNormalization": _after_last_axes,
    "LpNormalization": _after_norm,
    "MeanVarianceNormalization": _after_mean_variance,
    "Concat": _along_another,
    "Split": _along_another,
    "Slice": _after_slice,
    "Gather": _after_gather,
}
