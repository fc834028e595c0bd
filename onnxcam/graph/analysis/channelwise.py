"""Operators that multiply each channel by a constant and add another: normalisations, and arithmetic with constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.graph.analysis.dtypes import FLOATS

Tensor: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Channelwise:
    """What a node does to one value: ``scale x + shift``, each ``[K]`` along one axis, in double precision.

    Attributes:
        source: the value.
        scale: ``[K]``, or ``[]`` where every channel has the same.
        shift: likewise.
        axis: of the channels; None where all of them are treated alike.
    """

    source: ir.Value
    scale: Tensor
    shift: Tensor
    axis: int | None


def channelwise(node: ir.Node) -> Channelwise | None:
    """Return what a node does to each channel, or None if it is no such operator or its constants are not known."""
    if node.domain or node.outputs[0].dtype not in FLOATS:
        return None
    found = _normalization(node) if node.op_type == "BatchNormalization" else _arithmetic(node)
    return found if found is not None and np.isfinite(found.scale).all() and np.isfinite(found.shift).all() else None


def constant(node: ir.Node, index: int) -> Tensor | None:
    """Return an input's numbers in double precision, or None where they are not in the file."""
    value = node.inputs[index] if len(node.inputs) > index else None
    if value is None or value.const_value is None or value.dtype not in FLOATS:
        return None
    return value.const_value.numpy().astype(np.float64)


def _normalization(node: ir.Node) -> Channelwise | None:
    scale, shift, mean, variance = (constant(node, index) for index in range(1, 5))
    source = node.inputs[0]
    if source is None or scale is None or shift is None or mean is None or variance is None:
        return None
    if node.attributes.get_int("training_mode", 0) or any(value.uses() for value in node.outputs[1:]):
        return None
    with np.errstate(all="ignore"):
        slope = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return Channelwise(source, slope, shift - slope * mean, 1)


def _arithmetic(node: ir.Node) -> Channelwise | None:
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    index = next((index for index in (1, 0) if constant(node, index) is not None), None)
    if index is None or (node.op_type == "Div" and index == 0):
        return None
    number, source = constant(node, index), node.inputs[1 - index]
    if source is None or number is None or source.shape is None or source.const_value is not None:
        return None
    found = _along_axis(number, len(source.shape))
    if found is None:
        return None
    axis, number = found
    one, zero = np.ones_like(number), np.zeros_like(number)
    with np.errstate(all="ignore"):
        match node.op_type:
            case "Mul":
                return Channelwise(source, number, zero, axis)
            case "Div":
                return Channelwise(source, 1 / number, zero, axis)
            case "Add":
                return Channelwise(source, one, number, axis)
    return Channelwise(source, one, -number, axis) if index == 1 else Channelwise(source, -one, number, axis)


def _along_axis(number: Tensor, rank: int) -> tuple[int | None, Tensor] | None:
    """Return the one axis along which a constant differs and it as a vector; None if it differs along more."""
    if number.ndim > rank:
        return None
    axes = [axis for axis, size in enumerate(number.shape) if size != 1]
    if not axes:
        return None, number.reshape(())
    return (axes[0] + rank - number.ndim, number.reshape(-1)) if len(axes) == 1 else None
