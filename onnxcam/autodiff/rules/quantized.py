"""Rounding to few bits and back.

The cotangent of a quantised value is the derivative with respect to its integer number, in float32. Rounding counts as
the identity (straight-through), cutting to the range does not: what lies beyond it has no gradient. Scales and zero
points count as constants, also where they are computed from the data, as in training with fake quantisation.

Whether a number lies in the range is asked before rounding, as in TensorFlow's fake quantisation and in LSQ (Esser et
al. 2020): the derivative of cutting alone, which is ReLU's where the range begins at 0. torch's fake quantisation asks
after rounding, so that numbers up to half a step beyond the range count too: ``rounded_range``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.quantized_view import where_inside
from onnxcam.autodiff.registry import Cotangents, constant_output, vjp
from onnxcam.graph.analysis.quantization import MICROSOFT

constant_output("DynamicQuantizeLinear", 1, 2)


@vjp("QuantizeLinear", since=10)
@vjp("QuantizeLinear", domain=MICROSOFT)
def quantize_linear(op: Builder, node: NodeView, dq: Var) -> Cotangents:
    """q = round(x / scale) + zero point, cut to the range: dx = dq / scale where x / scale + zero point is inside."""
    return _quantize(op, node, dq, lambda number, _: number)


def rounded_range(op: Builder, node: NodeView, dq: Var) -> Cotangents:
    """The same where round(x / scale) + zero point is inside, as in torch; floats of 8 and 4 bits are not rounded."""
    return _quantize(op, node, dq, lambda number, dtype: op.Round(number) if dtype.is_integer() else number)


def _quantize(op: Builder, node: NodeView, dq: Var, asked: Callable[[Var, ir.DataType], Var]) -> Cotangents:
    scale = parameter_along_axis(op, node, op.cast(node.input(1), dq.dtype), default_axis=1)
    # onnx infers no type for Microsoft's operator, whose zero point has that of the result.
    dtype = (node.raw(2) if node.has(2) else op.var(node.node.outputs[0])).dtype
    number = asked(op.cast(node.x, dq.dtype) / scale, dtype)
    if node.has(2):
        number = number + parameter_along_axis(op, node, op.cast(node.raw(2), dq.dtype), default_axis=1)
    return where_inside(op, dq / scale, number, dtype, reached=False), *_constants(op, node, dq)


@vjp("DequantizeLinear", since=10)
@vjp("DequantizeLinear", domain=MICROSOFT)
def dequantize_linear(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = (q - zero point) scale: dq = dy scale."""
    dq = (
        dy * parameter_along_axis(op, node, op.cast(node.input(1), dy.dtype), default_axis=1) if node.needs(0) else None
    )
    return dq, *_constants(op, node, dy)


@vjp("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(op: Builder, node: NodeView, dq: Var) -> Cotangents:
    """q = round(x / scale) + zero point with the scale and zero point of x's own range: dx = dq / scale.

    Nothing lies beyond the range. That the largest and the smallest x move scale and zero point is left out.
    """
    return (dq / op.cast(node.output(1), dq.dtype),)


def _constants(op: Builder, node: NodeView, like: Var) -> list[Var | None]:
    """Return zeros for a scale and a zero point that are computed while the graph runs."""
    return [shapes.zeros_like(op, node.raw(i), like) if node.needs(i) else None for i in (1, 2)]


def parameter_along_axis(op: Builder, node: NodeView, parameter: Var, default_axis: int) -> Var:
    """Return a scale or zero point in a shape that broadcasts against x: for all of it, one axis, or blocks of one."""
    sizes = parameter.shape if parameter.shape is not None else node.shape(1)
    if sizes is None:
        raise UnknownShapeError("the rank of its scale is not known")
    block = node.integer("block_size", 0)
    if not block and (len(sizes) == 0 or sizes == (1,)):
        return parameter
    rank = node.rank()
    axis = node.integer("axis", default_axis) % rank
    if not block:
        return op.Reshape(parameter, [-1 if a == axis else 1 for a in range(rank)])
    size = shapes.dim(op, node.raw(0), axis)
    if isinstance(size, int):
        return op.Gather(parameter, np.arange(size) // block, axis=axis)
    zero, one = op.const(np.int64(0)), op.const(np.int64(1))
    positions = op.emit("Range", [zero, op.Squeeze(size, [0]), one])
    return op.Gather(parameter, op.Div(positions, op.const(np.int64(block))), axis=axis)
