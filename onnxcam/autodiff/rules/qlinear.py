"""Operators on quantised values: the rules of the real operators, between taking the numbers as real and back.

As everywhere, the cotangent of a quantised value is the derivative with respect to its integer number, rounding counts
as the identity, and a result at the end of its range has been cut to it and has no gradient.
"""

from __future__ import annotations

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.quantized_view import RealView, real, where_inside
from onnxcam.autodiff.registry import Cotangents, find_rule, gradient_table, vjp
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.quantization import MICROSOFT, RealOperator, real_operator
from onnxcam.graph.passes.raise_opset import MINIMUM_OPSET

_NEW_SOFTMAX = 13  # from here on, Softmax acts on one axis


@vjp("QLinearConv", since=10)
@vjp("QLinearMatMul", since=10)
@vjp("ConvInteger", since=10)
@vjp("MatMulInteger", since=10)
@vjp("QLinearAdd", "QLinearMul", domain=MICROSOFT, broadcasts=True)
@vjp("QLinearConv", "QLinearConcat", "QGemm", domain=MICROSOFT)
@vjp("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", domain=MICROSOFT)
@vjp("QLinearAveragePool", "QLinearGlobalAveragePool", domain=MICROSOFT)
def quantized(op: Builder, node: NodeView, dq: Var) -> Cotangents:
    """q = f((a - za) sa, ...) / s + z, cut to the range: da = sa f'(dq / s) where q is inside the range."""
    read = real_operator(node.node)
    if read is None:
        raise TypeError(f"{node.node.op_type} has no counterpart on real numbers")
    _refuse(node)
    dy, result = _result(op, node, read, dq)
    operands = [_operand(op, node, read, position) for position in range(len(read.operands))]
    view = RealView(op, node, operands, [numbers.value for numbers in read.operands], result)
    rule = find_rule(gradient_table(), "", read.op_type, MINIMUM_OPSET)
    if rule is None:
        raise TypeError(f"{read.op_type} has no rule")
    cotangents: list[Var | None] = [None] * node.count
    for position, (numbers, d) in enumerate(zip(read.operands, rule.function(op, view, dy), strict=False)):
        if d is not None and node.needs(numbers.value):
            scale = _parameter(op, node, read, position, numbers.scale)
            cotangents[numbers.value] = d if scale is None else d * op.cast(scale, d.dtype)
    return cotangents


def _result(op: Builder, node: NodeView, read: RealOperator, dq: Var) -> tuple[Var, Var]:
    """Return the cotangent of the result in real numbers, and the result."""
    q = op.var(node.node.outputs[0])
    if read.scale is None or not node.has(read.scale):
        return dq, op.cast(q, dq.dtype)
    scale = op.cast(_along_rows(op, node, node.raw(read.scale), read), dq.dtype)
    zero_point = node.raw(read.zero_point) if read.zero_point is not None and node.has(read.zero_point) else None
    zero_point = None if zero_point is None else _along_rows(op, node, zero_point, read)
    inside = where_inside(op, dq / scale, op.cast(q, dq.dtype), q.dtype, reached=True)
    return inside, real(op, q, scale, zero_point)


def _operand(op: Builder, node: NodeView, read: RealOperator, position: int) -> Var:
    numbers = read.operands[position]
    scale = _parameter(op, node, read, position, numbers.scale)
    zero_point = _parameter(op, node, read, position, numbers.zero_point)
    return real(op, node.raw(numbers.value), scale, zero_point)


def _parameter(op: Builder, node: NodeView, read: RealOperator, position: int, index: int | None) -> Var | None:
    """Return a scale or zero point in a shape that broadcasts against its operand."""
    if index is None or not node.has(index):
        return None
    parameter = node.raw(index)
    if read.op_type == "Conv" and position == 1:
        return _along_first(op, node, parameter, node.rank(read.operands[1].value))
    if read.op_type == "MatMul" and position == 0:
        return _along_rows(op, node, parameter, read)
    if read.op_type == "Gemm" and position == 1 and node.integer("transB", 0):
        return _along_first(op, node, parameter, 2)
    return parameter


def _along_first(op: Builder, node: NodeView, parameter: Var, rank: int) -> Var:
    """Return one number an output channel, which is the weight's first axis."""
    return op.Reshape(parameter, [-1, *[1] * (rank - 1)]) if _is_vector(node, parameter) else parameter


def _along_rows(op: Builder, node: NodeView, parameter: Var, read: RealOperator) -> Var:
    """Return one number a row of a matrix product's left operand or result."""
    rows = read.op_type == "MatMul" and _is_vector(node, parameter)
    return op.Reshape(parameter, [-1, 1]) if rows else parameter


def _is_vector(node: NodeView, parameter: Var) -> bool:
    if parameter.shape is None:
        raise UnknownShapeError("the rank of a scale or zero point is not known")
    return len(parameter.shape) == 1 and parameter.shape != (1,)


def _refuse(node: NodeView) -> None:
    """Raise for what the real operator does not have."""
    if node.integer("channels_last", 0):
        raise UnsupportedError(
            f"{node.node.op_type} '{node.node.name}': channels_last has no gradient rule; "
            "save the optimised model with ORT_ENABLE_EXTENDED, not with all optimisations"
        )
    if node.node.op_type == "QLinearSoftmax" and node.integer("opset", _NEW_SOFTMAX) < _NEW_SOFTMAX:
        rank = node.rank()
        if node.integer("axis", -1) % rank != rank - 1:
            raise UnsupportedError(
                f"QLinearSoftmax '{node.node.name}': one softmax over several axes has no gradient rule; "
                "export the model with opset 13 or newer"
            )
