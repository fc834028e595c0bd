"""Quantised operators as operators on real numbers, where ``real = (integer - zero point) * scale``."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onnxcam.graph.operators import Trait, operators_with

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class QuantizedOperand:
    """Indices of the inputs that hold one quantised operand; None for what the operator has no input for."""

    value: int
    scale: int | None
    zero_point: int | None


@dataclass(frozen=True)
class RealOperator:
    """A quantised operator as an operator on real numbers.

    Attributes:
        op_type: ONNX's operator that does the same to real numbers.
        operands: its inputs, in its order.
        scale: index of the input that holds the result's scale; None where the result is not rounded.
        zero_point: index of the input that holds the result's zero point.
    """

    op_type: str
    operands: tuple[QuantizedOperand, ...]
    scale: int | None = None
    zero_point: int | None = None


def _one(op_type: str) -> RealOperator:
    """Return a function of one operand, which is given as number, scale and zero point, as the result's are."""
    return RealOperator(op_type, (QuantizedOperand(0, 1, 2),), 3, 4)


def _two(op_type: str) -> RealOperator:
    """Return likewise a function of two operands."""
    return RealOperator(op_type, (QuantizedOperand(0, 1, 2), QuantizedOperand(3, 4, 5)), 6, 7)


_SUM = (QuantizedOperand(0, None, 2), QuantizedOperand(1, None, 3))

REAL_OPERATORS: dict[tuple[str, str], RealOperator] = {
    ("", "QLinearConv"): _two("Conv"),
    ("", "QLinearMatMul"): _two("MatMul"),
    ("", "ConvInteger"): RealOperator("Conv", _SUM),
    ("", "MatMulInteger"): RealOperator("MatMul", _SUM),
    (MICROSOFT, "QLinearConv"): _two("Conv"),
    (MICROSOFT, "QLinearAdd"): _two("Add"),
    (MICROSOFT, "QLinearMul"): _two("Mul"),
    (MICROSOFT, "QLinearSigmoid"): _one("Sigmoid"),
    (MICROSOFT, "QLinearLeakyRelu"): _one("LeakyRelu"),
    (MICROSOFT, "QLinearSoftmax"): _one("Softmax"),
    (MICROSOFT, "QLinearAveragePool"): _one("AveragePool"),
    (MICROSOFT, "QLinearGlobalAveragePool"): _one("GlobalAveragePool"),
    (MICROSOFT, "QLinearConcat"): RealOperator("Concat", (), 0, 1),
    (MICROSOFT, "QGemm"): RealOperator("Gemm", (QuantizedOperand(0, 1, 2), QuantizedOperand(3, 4, 5)), 7, 8),
}
# Operators whose result is quantised as their first input is.
_PASS_ON = operators_with(Trait.MOVES | Trait.PICKS | Trait.COPIES) | {"Relu", "Clip"}


def real_operator(node: ir.Node) -> RealOperator | None:
    """Return what a node is on real numbers, None if it is no quantised operator."""
    found = REAL_OPERATORS.get((node.domain, node.op_type))
    if found is not None and found.op_type == "Concat":
        operands = tuple(QuantizedOperand(i, i + 1, i + 2) for i in range(2, len(node.inputs), 3))
        return RealOperator("Concat", operands, found.scale, found.zero_point)
    return found


def optional_input(node: ir.Node, index: int | None) -> ir.Value | None:
    """Return an optional input of a node."""
    return None if index is None or index >= len(node.inputs) else node.inputs[index]


def quantization(value: ir.Value) -> tuple[ir.Value, ir.Value | None] | None:
    """Return scale and zero point of a quantised value, as its producer or else a consumer states them."""
    seen = value
    while (node := seen.producer()) is not None:
        found = _stated_by_producer(node)
        if found is not None:
            return found
        if node.op_type not in _PASS_ON or node.inputs[0] is None:
            break
        seen = node.inputs[0]
    waiting = [seen]
    while waiting:
        for node, index in waiting.pop().uses():
            found = _stated_by_consumer(node, index)
            if found is not None:
                return found
            if node.op_type in _PASS_ON:
                waiting.append(node.outputs[0])
    return None


def _stated_by_producer(node: ir.Node) -> tuple[ir.Value, ir.Value | None] | None:
    if node.op_type == "QuantizeLinear":
        indices = (1, 2)
    elif node.op_type == "DynamicQuantizeLinear":
        return node.outputs[1], node.outputs[2]
    elif (read := real_operator(node)) is not None and read.scale is not None and read.zero_point is not None:
        indices = (read.scale, read.zero_point)
    else:
        return None
    scale = optional_input(node, indices[0])
    return None if scale is None else (scale, optional_input(node, indices[1]))


def _stated_by_consumer(node: ir.Node, index: int) -> tuple[ir.Value, ir.Value | None] | None:
    if node.op_type == "DequantizeLinear" and index == 0:
        numbers = QuantizedOperand(0, 1, 2)
    else:
        read = real_operator(node)
        found = next((n for n in read.operands if n.value == index), None) if read is not None else None
        if found is None:
            return None
        numbers = found
    scale = optional_input(node, numbers.scale)
    return None if scale is None else (scale, optional_input(node, numbers.zero_point))
