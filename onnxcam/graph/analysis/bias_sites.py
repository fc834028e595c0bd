"""Where a network adds constants, such as the biases of its layers, which FullGrad reads beside the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.axes import axis_meanings, channels_first
from onnxcam.graph.analysis.reachability import signal_path
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, operators_with

Tensor: TypeAlias = npt.NDArray[Any]

_TAKES_BIAS = operators_with(Trait.TAKES_BIAS)


@dataclass(frozen=True, eq=False)
class BiasSite:
    """Where a constant is added to every channel.

    Attributes:
        name: of the sum.
        bias: ``[K]``.
        order: brings the sum's axes into the order batch, channels, space.
    """

    name: str
    bias: Tensor
    order: tuple[int, ...]


def bias_sites(graph: ir.Graph, score: str) -> tuple[BiasSite, ...]:
    """Return every sum with a constant on the paths to the score, in order.

    Of convolutions, products with weights, batch normalisations and sums. A network of these and of operators that are
    linear piece by piece is the sum of its input and these constants, each times its gradient. Constants that follow
    each other, of a convolution and of its normalisation, count as one: a file in which they are folded gives the same.

    Raises:
        UnsupportedError: a constant differs from position to position.
    """
    axes = axis_meanings(graph)
    nodes, on_path = signal_path(graph, find_value(graph, score))
    sites: dict[ir.Value, BiasSite] = {}
    for node in nodes:
        value = node.outputs[0]
        found = _bias(node, on_path)
        if found is None or value.shape is None or value not in on_path:
            continue
        bias, factor, source = found
        rank = len(value.shape)
        letters = axes[value].letters if value in axes else ""
        if node.op_type == "Add" and (not letters or "T" in letters):
            order, channel = (tuple(range(rank)), 1) if rank == 2 else (_last_to_second(rank), rank - 1)
        else:
            order = tuple(channels_first(letters)) if letters else tuple(range(rank))
            channel = order[1]
        flat = _per_channel(bias, rank, channel)
        if flat is None:
            raise UnsupportedError(
                f"node '{node.name}' adds a constant of shape {bias.shape}, which differs from position to position; "
                "use integrated-gradients or hires-cam"
            )
        if source in sites and len(source.consumers()) == 1:
            flat = flat + factor * sites.pop(source).bias
        size = value.shape[channel]
        whole = np.broadcast_to(flat, (size,)) if isinstance(size, int) else flat
        sites[value] = BiasSite(str(value.name), whole, order)
    return tuple(sites.values())


def _bias(node: ir.Node, on_path: set[ir.Value]) -> tuple[Tensor, Tensor | float, ir.Value | None] | None:
    """Return the constant that a node adds, the factor for each channel of the value it adds it to, and that value."""
    source = node.inputs[0]
    if node.op_type in _TAKES_BIAS:
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
            if other in on_path and (found := _constant(node, index)) is not None:
                minus = node.op_type == "Sub"
                return -found if minus and index == 1 else found, -1.0 if minus and index == 0 else 1.0, other
    return None


def _constant(node: ir.Node, index: int, factor: float = 1.0) -> Tensor | None:
    value = node.inputs[index] if len(node.inputs) > index else None
    if value is None or value.const_value is None:
        return None
    return np.asarray(value.const_value.numpy() * factor, np.float32)


def _last_to_second(rank: int) -> tuple[int, ...]:
    return (0, rank - 1, *range(1, rank - 1))


def _per_channel(bias: Tensor, rank: int, channel: int) -> Tensor | None:
    """Return a constant as one number a channel, or None if it differs along another axis."""
    if bias.ndim == 1 and rank != 1 and channel == 1:
        # Of a convolution, a normalisation or a product: a vector of channels.
        return bias
    shape = (1,) * (rank - bias.ndim) + bias.shape
    others = [size for axis, size in enumerate(shape) if axis != channel]
    return bias.reshape(-1) if all(size == 1 for size in others) else None
