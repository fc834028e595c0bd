"""Weights and biases of linear operators, in one layout, and how scaling or shifting channels changes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.graph.analysis.channelwise import constant
from onnxcam.graph.operators import Trait, operators_with

Tensor: TypeAlias = npt.NDArray[Any]

LINEAR = operators_with(Trait.WEIGHTED)


@dataclass(frozen=True, eq=False)
class Weights:
    """What a linear operator multiplies by and adds, in double precision.

    Attributes:
        weight: ``[groups, outputs, inputs, *kernel]``, outputs and inputs of one group; what a Gemm multiplies the
            product by is in it.
        bias: ``[groups * outputs]``.
    """

    weight: Tensor
    bias: Tensor

    def followed(self, scale: Tensor, shift: Tensor) -> Weights | None:
        """Return those of ``scale y + shift``; None where the number of channels is another one."""
        groups, outputs = self.weight.shape[:2]
        if scale.size != groups * outputs:
            return None
        scale, shift = scale.reshape(-1), shift.reshape(-1)
        shaped = scale.reshape(groups, outputs, *[1] * (self.weight.ndim - 2))
        return Weights(self.weight * shaped, self.bias * scale + shift)

    def preceded(self, scale: Tensor, shift: Tensor) -> Weights | None:
        """Return those that give for ``x`` what these give for ``scale x + shift``, where nothing is padded."""
        groups, _, inputs = self.weight.shape[:3]
        if scale.size != groups * inputs:
            return None
        shape = (groups, 1, inputs, *[1] * (self.weight.ndim - 3))
        scale, shift = scale.reshape(shape), shift.reshape(shape)
        added = (self.weight * shift).sum(axis=tuple(range(2, self.weight.ndim)))
        return Weights(self.weight * scale, self.bias + added.reshape(-1))


def weights_of(node: ir.Node, added: Tensor | None = None) -> Weights | None:
    """Return the weights of a linear operator, or None where they are not all in the file.

    Args:
        node: the operator.
        added: what is added to its result for each channel, of a MatMul.
    """
    weight = constant(node, 1)
    if node.domain or node.op_type not in LINEAR or weight is None:
        return None
    if node.op_type in ("Conv", "ConvTranspose"):
        weight = _grouped(node, weight)
        bias = constant(node, 2)
    elif weight.ndim != 2:
        return None
    elif node.op_type == "Gemm":
        alpha, beta = (node.attributes.get_float(name, 1.0) for name in ("alpha", "beta"))
        weight = alpha * (weight if node.attributes.get_int("transB", 0) else weight.T)[None]
        bias = constant(node, 2)
        bias = None if bias is None else beta * bias
    else:
        weight, bias = weight.T[None], added
    if bias is None and len(node.inputs) > 2 and node.inputs[2] is not None:
        return None
    count = weight.shape[0] * weight.shape[1]
    bias = np.zeros(count) if bias is None else bias
    if bias.size not in (1, count) or (bias.ndim > 1 and bias.shape[-1] != bias.size):
        return None
    return Weights(weight, np.broadcast_to(bias.reshape(-1), (count,)))


def in_own_layout(node: ir.Node, weights: Weights) -> Weights:
    """Return the weights as the operator takes them, in its own type; attributes of a Gemm count as 1."""
    weight = weights.weight
    if node.op_type == "Conv":
        weight = weight.reshape(-1, *weight.shape[2:])
    elif node.op_type == "ConvTranspose":
        weight = weight.swapaxes(1, 2)
        weight = weight.reshape(-1, *weight.shape[2:])
    else:
        weight = weight[0] if node.attributes.get_int("transB", 0) else weight[0].T
    original = node.inputs[1]
    assert original is not None
    assert original.const_value is not None
    kind = original.const_value.numpy().dtype
    with np.errstate(over="ignore"):
        return replace(weights, weight=np.ascontiguousarray(weight).astype(kind), bias=weights.bias.astype(kind))


def pads_nothing(node: ir.Node) -> bool:
    """Whether every result of an operator reads as many of its inputs as any other."""
    if node.op_type == "Conv":
        automatic = node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID")
        return not automatic and not any(node.attributes.get_ints("pads", ()))
    return node.op_type != "ConvTranspose"


def _grouped(node: ir.Node, weight: Tensor) -> Tensor:
    groups = node.attributes.get_int("group", 1)
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    return weight if node.op_type == "Conv" else weight.swapaxes(1, 2)
