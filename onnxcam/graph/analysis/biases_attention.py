"""Places inside a network that some methods read beside a layer: added constants, and attention."""

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

_MATRIX_RANKS = (3, 4)
# Before opset 13 a softmax over the last axis is one of a matrix, from which its result is reshaped.
_TAKES_BIAS = operators_with(Trait.TAKES_BIAS)
_BETWEEN = operators_with(Trait.COPIES) | {"Cast", "Reshape"}


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


@dataclass(frozen=True)
class AttentionSite:
    """The attention matrix of one layer.

    Attributes:
        name: of the softmax, ``[N, heads, T, T]``, or ``[N * heads, T, T]``.
    """

    name: str

    def heads(self, array: Tensor, samples: int) -> Tensor:
        """Return ``[N, heads, T, T]``, float32, of so many samples.

        Raises:
            UnsupportedError: it is not between the tokens of one set.
        """
        if array.shape[-1] != array.shape[-2]:
            raise UnsupportedError(
                f"attention '{self.name}' of shape {list(array.shape)} leads from some tokens to others, "
                "which cannot be followed through layers; use hires-cam or layer-cam"
            )
        return array.astype(np.float32, copy=False).reshape(samples, -1, *array.shape[-2:])


def bias_sites(graph: ir.Graph, score: str) -> tuple[BiasSite, ...]:
    """Return every place on the way to the score where a constant is added, in order.

    Of convolutions, products with weights, batch normalisations and sums. A network of these and of operators that are
    linear piece by piece is the sum of its input and these constants, each times its gradient. Constants that follow
    each other, of a convolution and of its normalisation, count as one: a file in which they are folded gives the same.

    Raises:
        UnsupportedError: a constant differs from place to place.
    """
    axes = axis_meanings(graph)
    nodes, on_way = signal_path(graph, find_value(graph, score))
    sites: dict[ir.Value, BiasSite] = {}
    for node in nodes:
        value = node.outputs[0]
        found = _bias(node, on_way)
        if found is None or value.shape is None or value not in on_way:
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
                f"node '{node.name}' adds a constant of shape {bias.shape}, which differs from place to place; "
                "use integrated-gradients or hires-cam"
            )
        if source in sites and len(source.consumers()) == 1:
            flat = flat + factor * sites.pop(source).bias
        size = value.shape[channel]
        whole = np.broadcast_to(flat, (size,)) if isinstance(size, int) else flat
        sites[value] = BiasSite(str(value.name), whole, order)
    return tuple(sites.values())


def attention_sites(graph: ir.Graph, score: str) -> tuple[AttentionSite, ...]:
    """Return every softmax on the way to the score between two products, in order: queries with keys, then values.

    Raises:
        UnsupportedError: there is none.
    """
    nodes, _ = signal_path(graph, find_value(graph, score))
    sites = [site for node in nodes if node.op_type == "Softmax" and (site := _attention(node)) is not None]
    if not sites:
        raise UnsupportedError("the network has no attention; use hires-cam or layer-cam, which work with any network")
    return tuple(sites)


def _attention(node: ir.Node) -> AttentionSite | None:
    """Return the matrix that a softmax makes, if a product reads it: behind what brings it back into its shape, too."""
    value = node.outputs[0]
    reader = value
    while len(reader.consumers()) == 1 and (user := reader.consumers()[0]).op_type in _BETWEEN:
        reader = user.outputs[0]
        if user.op_type == "Reshape":
            value = reader
    multiplied = any(user.op_type == "MatMul" and user.inputs[0] is reader for user in reader.consumers())
    if value.shape is None or len(value.shape) not in _MATRIX_RANKS or not multiplied:
        return None
    sizes = {size for size in (value.shape[-1], value.shape[-2]) if isinstance(size, int)}
    return AttentionSite(str(value.name)) if len(sizes) < 2 else None


def _bias(node: ir.Node, on_way: set[ir.Value]) -> tuple[Tensor, Tensor | float, ir.Value | None] | None:
    """Return what a node adds to what comes along the way, by what it multiplies that for each channel, and that."""
    source = node.inputs[0]
    if node.op_type in _TAKES_BIAS:
        bias = _constant(node, 2, node.attributes.get_float("beta", 1.0))
        return None if bias is None else (bias, 0.0, None)
    if node.op_type == "BatchNormalization":
        scale, shift, mean, variance = (_constant(node, place) for place in range(1, 5))
        if scale is None or shift is None or mean is None or variance is None:
            return None
        slope = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
        return np.asarray(shift - slope * mean), slope, source
    if node.op_type in ("Add", "Sub"):
        for place in (0, 1):
            other = node.inputs[1 - place]
            if other in on_way and (found := _constant(node, place)) is not None:
                minus = node.op_type == "Sub"
                return -found if minus and place == 1 else found, -1.0 if minus and place == 0 else 1.0, other
    return None


def _constant(node: ir.Node, place: int, factor: float = 1.0) -> Tensor | None:
    value = node.inputs[place] if len(node.inputs) > place else None
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
