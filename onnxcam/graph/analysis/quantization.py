"""Operators on quantised values, read as what they are in real numbers: ``real = (integer - zero point) * scale``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import onnx_ir as ir

from onnxcam.graph.operators import Trait, operators_with

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Numbers:
    """Where a node keeps one quantised operand: positions among its inputs, None for what it does not have."""

    value: int
    scale: int | None
    zero_point: int | None


@dataclass(frozen=True)
class Plan:
    """A quantised operator as an operator on real numbers.

    Attributes:
        op_type: ONNX's operator that does the same to real numbers.
        operands: its inputs, in its order.
        scale: position of the result's scale among the node's inputs; None where the result is not rounded.
        zero_point: position of the result's zero point.
    """

    op_type: str
    operands: tuple[Numbers, ...]
    scale: int | None = None
    zero_point: int | None = None


def _one(op_type: str) -> Plan:
    return Plan(op_type, (Numbers(0, 1, 2),), 3, 4)


def _two(op_type: str) -> Plan:
    return Plan(op_type, (Numbers(0, 1, 2), Numbers(3, 4, 5)), 6, 7)


_SUM = (Numbers(0, None, 2), Numbers(1, None, 3))

READINGS: dict[tuple[str, str], Plan] = {
    ("", "QLinearConv"): _two("Conv"),
    ("", "QLinearMatMul"): _two("MatMul"),
    ("", "ConvInteger"): Plan("Conv", _SUM),
    ("", "MatMulInteger"): Plan("MatMul", _SUM),
    (MICROSOFT, "QLinearConv"): _two("Conv"),
    (MICROSOFT, "QLinearAdd"): _two("Add"),
    (MICROSOFT, "QLinearMul"): _two("Mul"),
    (MICROSOFT, "QLinearSigmoid"): _one("Sigmoid"),
    (MICROSOFT, "QLinearLeakyRelu"): _one("LeakyRelu"),
    (MICROSOFT, "QLinearSoftmax"): _one("Softmax"),
    (MICROSOFT, "QLinearAveragePool"): _one("AveragePool"),
    (MICROSOFT, "QLinearGlobalAveragePool"): _one("GlobalAveragePool"),
    (MICROSOFT, "QLinearConcat"): Plan("Concat", (), 0, 1),
    (MICROSOFT, "QGemm"): Plan("Gemm", (Numbers(0, 1, 2), Numbers(3, 4, 5)), 7, 8),
}
# Operators whose result is quantised as their first input is.
_PASS_ON = operators_with(Trait.MOVES | Trait.PICKS | Trait.COPIES) | {"Relu", "Clip"}


def reading(node: ir.Node) -> Plan | None:
    """Return how a node is read in real numbers, None if it is no quantised operator."""
    found = READINGS.get((node.domain, node.op_type))
    if found is not None and found.op_type == "Concat":
        operands = tuple(Numbers(i, i + 1, i + 2) for i in range(2, len(node.inputs), 3))
        return Plan("Concat", operands, found.scale, found.zero_point)
    return found


def entry(node: ir.Node, index: int | None) -> ir.Value | None:
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
        places = (1, 2)
    elif node.op_type == "DynamicQuantizeLinear":
        return node.outputs[1], node.outputs[2]
    elif (read := reading(node)) is not None and read.scale is not None and read.zero_point is not None:
        places = (read.scale, read.zero_point)
    else:
        return None
    scale = entry(node, places[0])
    return None if scale is None else (scale, entry(node, places[1]))


def _stated_by_consumer(node: ir.Node, index: int) -> tuple[ir.Value, ir.Value | None] | None:
    if node.op_type == "DequantizeLinear" and index == 0:
        numbers = Numbers(0, 1, 2)
    else:
        read = reading(node)
        found = next((n for n in read.operands if n.value == index), None) if read is not None else None
        if found is None:
            return None
        numbers = found
    scale = entry(node, numbers.scale)
    return None if scale is None else (scale, entry(node, numbers.zero_point))


@contextmanager
def read_as_real(graph: ir.Graph) -> Iterator[None]:
    """Lend quantised operators that onnx does not know the names and inputs of those that they are read as.

    onnx's shape inference then finds their shapes; the types are the first operand's, as for the operators themselves.
    """
    restore: list[Callable[[], None]] = []
    for node in graph.all_nodes():
        found = reading(node) if node.domain == MICROSOFT else None
        if found is not None and not (found.op_type == "Gemm" and entry(node, found.scale) is None):
            restore.append(_lend(node, found))
    try:
        yield
    finally:
        for undo in restore:
            undo()


def _lend(node: ir.Node, read: Plan) -> Callable[[], None]:
    domain, op_type, inputs = node.domain, node.op_type, tuple(node.inputs)
    operands = [node.inputs[numbers.value] for numbers in read.operands]

    def wear(domain: str, op_type: str, values: list[ir.Value | None]) -> None:
        node.domain, node.op_type = domain, op_type
        node.resize_inputs(len(values))
        for index, value in enumerate(values):
            node.replace_input_with(index, value)

    wear("", read.op_type, operands)
    return lambda: wear(domain, op_type, list(inputs))
