"""The choice between forms of one derivative, and its reasons: measurements.

All forms give the same numbers. Times are CPU times of onnxruntime 1.31.1 with one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from math import prod

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Dim, Shape, Var
from onnxcam.autodiff.windows import Window, spatial_sizes
from onnxcam.graph.operators import Trait, operators_with

# The steepest slopes that are powers of two: products with them are exact, and 2^127 raises the smallest normal float
# above 1. A bound other than 0 needs room for its own size.
_STEEPEST, _STEEP = 2.0**127, 2.0**100
_BLOCK = 16
_FEW_POSITIONS = 28
# Operators that spread an infinite number over all of their result: a mask after them would come too late.
_MIXING = operators_with(Trait.WEIGHTED)
_ELEMENTWISE = frozenset({"Sum", "Add", "Mul", "Div"})
_MOVING = frozenset(
    {"Expand", "GlobalAveragePool", "Identity", "ReduceSum", "Relu", "Reshape", "Squeeze", "Unsqueeze", "Resize"}
)


class ConvForm(Enum):
    """How the gradient of a convolution's input is written.

    ``FLIPPED`` is a plain convolution with the turned kernel, ``STUFFED`` the same after zeros have been put between
    the positions of dy, ``TRANSPOSED`` a ConvTranspose.
    """

    FLIPPED = auto()
    STUFFED = auto()
    TRANSPOSED = auto()


def conv_input_gradient(win: Window, x: Shape | None, weight: Shape | None, group: int) -> ConvForm:
    """Choose the form of a convolution's input gradient.

    Stride 1 is flipped. A depthwise kernel with a stride is stuffed: in MobileNetV3-large, batch 4, the four of them
    took 37 ms as ConvTranspose and take 12 ms, zeros included. Dense kernels stay transposed: 3x3, 128 channels, 56 to
    28, took 14 ms as ConvTranspose, 21 ms as a convolution for each phase with DepthToSpace, 37 ms stuffed; the 7x7
    stem of ResNet-50 17, 60 and 245 ms, 23 ms as one convolution for all phases; 1x1 kernels 11, 24 and 43 ms.
    """
    if win.fixed is None:
        return ConvForm.TRANSPOSED
    if min(win.turned) >= 0 and all(s == 1 for s in win.strides):
        return ConvForm.FLIPPED
    inside = spatial_sizes(x)
    depthwise = weight is not None and weight[0] == group and weight[1] == 1
    if depthwise and group > 1 and win.rank == 2 and inside is not None and min(win.stuffed(inside)) >= 0:
        return ConvForm.STUFFED
    return ConvForm.TRANSPOSED


def stuff_transposed(counts: Sequence[int]) -> bool:
    """Whether zeros are put between these many positions by a ConvTranspose; else positions are repeated and masked.

    That mask leaves the blocked layout and costs a pass over the result. 64 channels, 56 to 112 positions, with the
    convolutions around: 11.9 ms against 15.4; 72 channels from 28 positions 3.1 and 3.6; 240 from 14 positions 2.4 and
    2.2.
    """
    return min(counts) >= _FEW_POSITIONS


def blocked(op: Builder, x: Var, channels: Dim) -> Var:
    """Return ``x`` as it is, from a convolution: what adds to it and masks it can then stay in the blocked layout.

    After each ConvTranspose of ResNet-50, batch 4, this brings the gradient from 2.79 forward passes to 2.58: a
    residual sum is fused into that convolution. Blocks hold 8 or 16 channels; others would be filled up.
    """
    if not isinstance(channels, int) or channels % _BLOCK:
        return x
    return op.Conv(x, op.Expand(op.const(1, x.dtype), [channels, 1, 1, 1]), group=channels)


def map_sizes(shape: Shape | None) -> list[int]:
    """Return channels, height and width of a map that onnxruntime keeps in blocks of channels; nothing for others."""
    sizes = None if shape is None or len(shape) != 4 else shapes.static(shape[1:])
    return [] if sizes is None or sizes[0] < _BLOCK or prod(sizes[1:]) == 1 else list(sizes)


def spread(op: Builder, x: Var, like: Shape) -> Var:
    """Return ``[N, C, 1, 1]`` in the shape of a map, in the blocked layout, which Expand leaves."""
    channels, height, width = map_sizes(like)
    ones = op.Expand(op.const(1, x.dtype), [channels, 1, 1, 1])
    full = repeat(op, op.Conv(x, ones, group=channels), [height, width])
    full.value.shape = ir.Shape(like)
    return full


def repeat(op: Builder, x: Var, scales: Sequence[int]) -> Var:
    """Return every position of ``x`` as often as ``scales`` says for each spatial axis."""
    return op.Resize(
        x,
        None,
        op.const(np.array([1, 1, *scales], np.float32)),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def product(op: Builder, dy: Var, factor: Var, other: Var) -> Var:
    """Return ``dy * factor``, the cotangent of the other factor, already summed where that is one number a channel.

    Such a gate stays in the blocked layout if dy is in it. With the means that feed the gates, which are spread in it
    too, this brings the gradient of MobileNetV3-large, batch 4, from 128 to 121 ms, where a plain run takes 29.
    """
    if _is_gate(factor.shape, other.shape) and other.shape and _is_blocked(op, dy):
        return dy * spread(op, factor, other.shape)
    if _is_gate(other.shape, factor.shape) and _is_blocked(op, dy):
        return op.GlobalAveragePool(dy * factor) * prod(map_sizes(factor.shape)[1:])
    return dy * factor


def _is_gate(x: Shape | None, like: Shape | None) -> bool:
    """Whether ``x`` is one number for each channel of a map, each sample its own."""
    return bool(map_sizes(like)) and like is not None and like[0] is not None and x == (*like[:2], 1, 1)


def _is_blocked(op: Builder, dy: Var) -> bool:
    node = dy.value.producer()
    return node is not None and op.wrote(dy.value) and node.op_type == "Conv"


def step(op: Builder, x: Var, above: float = 0.0) -> Var:
    """Return 1 where ``x > above``, else 0, in the type of ``x``.

    A steep HardSigmoid, because onnxruntime keeps it and products in the blocked layout of its convolutions, which it
    leaves for Greater and Where. Conv, Relu, Conv and back through the Relu, 4x64x112x112: 21 ms, with Greater and
    Where 33 ms, with Sign 32 ms; the mask alone, away from convolutions: 2.8 ms against 6.7 ms.
    """
    slope = _STEEP if above else _STEEPEST
    return op.HardSigmoid(x, alpha=slope, beta=-above * slope)


def step_down(op: Builder, x: Var, below: float) -> Var:
    """Return 1 where ``x < below``, else 0, in the type of ``x``."""
    slope = _STEEP if below else _STEEPEST
    return op.HardSigmoid(x, alpha=-slope, beta=below * slope)


def is_step(node: ir.Node) -> bool:
    """Whether a node is such a step, which counts as constant between its two values."""
    return node.op_type == "HardSigmoid" and abs(node.attributes.get_float("alpha", 0.0)) >= _STEEP


def complement(op: Builder, share: Var) -> Var:
    """Return 1 less a number in [0, 1]; unlike Sub, HardSigmoid stays in the blocked layout."""
    return op.HardSigmoid(share, alpha=-1.0, beta=1.0)


def scaled_mask(op: Builder, mask: Var, by: float) -> Var:
    """Return a mask of ones and zeros times a number in [0, 1], in the blocked layout too."""
    return op.HardSigmoid(mask, alpha=by, beta=0.0)


def may_multiply(op: Builder, dy: Var) -> bool:
    """Whether a product with 0 stops ``dy`` as ``Where`` does: it is as finite as the model's own values.

    The gradient of the square root of a Relu is infinite where the Relu is 0, and infinity times 0 is NaN. A cotangent
    that has come through a convolution or a matrix product, and since then through sums and products alone, is finite.
    """
    return _finite(op, dy.value)


def _finite(op: Builder, value: ir.Value) -> bool:
    node = value.producer()
    if node is None or not op.wrote(value):
        return True
    if node.op_type == "Mul" and any(_is_mask(op, entry) for entry in node.inputs):
        return True  # the product was only written after this check
    if node.op_type == "Div" and not _is_fixed(node.inputs[1]):
        return False
    if node.op_type in _ELEMENTWISE:
        return all(entry is None or _finite(op, entry) for entry in node.inputs)
    if node.op_type in _MOVING:
        return node.inputs[0] is not None and _finite(op, node.inputs[0])
    return node.op_type in _MIXING or node.op_type == "HardSigmoid"


def _is_mask(op: Builder, value: ir.Value | None) -> bool:
    node = None if value is None else value.producer()
    return value is not None and node is not None and op.wrote(value) and node.op_type == "HardSigmoid"


def _is_fixed(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer()
