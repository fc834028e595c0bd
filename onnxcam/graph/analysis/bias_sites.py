"""Where a network adds constants, such as the biases of its layers, which FullGrad reads beside the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.graph.analysis.axes import axis_meanings, channels_first
from onnxcam.graph.analysis.reachability import signal_path
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, operators_with

Tensor: TypeAlias = npt.NDArray[Any]

_TAKES_BIAS = operators_with(Trait.TAKES_BIAS)


@dataclass(frozen=True, eq=False)
class BiasSite:
    """Where a constant is added to every channel of a feature map.

    Attributes:
        name: of the sum.
        bias: ``[K]``.
        order: brings the sum's axes into the order batch, channels, space.
        members: names of the values that the constant has been gathered from, the sum among them.
    """

    name: str
    bias: Tensor
    order: tuple[int, ...]
    members: tuple[str, ...]


def bias_sites(graph: ir.Graph, score: str) -> tuple[BiasSite, ...]:
    """Return every sum with a constant for each channel of a feature map on the paths to the score, in order.

    Of convolutions, products with weights, batch normalisations and sums. Constants that follow each other, of a
    convolution and of its normalisation, count as one: a file in which they are folded gives the same.
    """
    axes = axis_meanings(graph)
    nodes, on_path = signal_path(graph, find_value(graph, score))
    sites: dict[ir.Value, BiasSite] = {}
    for node in nodes:
        value = node.outputs[0]
        found = _bias(node, on_path)
        letters = axes[value].letters if value in axes else ""
        if found is None or value.shape is None or value not in on_path or not _is_feature_map(letters):
            continue
        bias, factor, source = found
        order = tuple(channels_first(letters))
        flat = _per_channel(bias, len(value.shape), order[1])
        if flat is None:
            continue
        members: tuple[str, ...] = (str(value.name),)
        if source in sites and len(source.consumers()) == 1:
            before = sites.pop(source)
            flat, members = flat + factor * before.bias, (*before.members, *members)
        size = value.shape[order[1]]
        whole = np.broadcast_to(flat, (size,)) if isinstance(size, int) else flat
        sites[value] = BiasSite(str(value.name), whole, order, members)
    return tuple(sites.values())


def _is_feature_map(letters: str) -> bool:
    return letters.startswith("N") and "C" in letters and "T" not in letters and len(letters) > 2


def _bias(node: ir.Node, on_path: set[ir.Value]) -> tuple[Tensor, Tensor | float, ir.Value | None] | None:
    """Return the constant that a node adds, the factor for each channel of the value it adds it to, and that value."""
    source = node.inputs[0]
    if node.op_type in _TAKES_BIAS:
        if node.inputs[0] in on_path and node.inputs[1] in on_path:
            return None  # more than a bias is added to what its inputs give
        bias = _constant(node, 2, node.attributes.get_float("beta", 1.0))
        return None if bias is None else (bias, 0.0, None)
    if node.op_type == "BatchNormalization":
        scale, shift, mean, variance = (_constant(node, index) for index in range(1, 5))
        if scale is None or shift is None or mean is None or variance is None:
            return None
        slope = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
        return np.asarray(shift - slope * mean), slope, source
    if node.op_type in ("Add", "Sub"):
        for index in (0, 1):
            other = node.inputs[1 - index]
            # One number for all channels belongs to an activation that is written out, or to the image's preparation.
            if other in on_path and (found := _constant(node, index)) is not None and found.size > 1:
                minus = node.op_type == "Sub"
                return -found if minus and index == 1 else found, -1.0 if minus and index == 0 else 1.0, other
    return None


def _constant(node: ir.Node, index: int, factor: float = 1.0) -> Tensor | None:
    value = node.inputs[index] if len(node.inputs) > index else None
    if value is None or value.const_value is None:
        return None
    return np.asarray(value.const_value.numpy() * factor, np.float32)


def _per_channel(bias: Tensor, rank: int, channel: int) -> Tensor | None:
    """Return a constant as one number a channel, or None if it differs along another axis."""
    if bias.ndim == 1 and rank != 1 and channel == 1:
        # Of a convolution, a normalisation or a product: a vector of channels.
        return bias
    shape = (1,) * (rank - bias.ndim) + bias.shape
    others = [size for axis, size in enumerate(shape) if axis != channel]
    return bias.reshape(-1) if all(size == 1 for size in others) else None
