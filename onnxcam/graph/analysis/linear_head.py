"""Whether the head of a network, from a layer to the score, is linear."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.analysis.axes import axis_meanings, spatial_axes
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.reachability import signal_path
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, operators_with

_AVERAGES = operators_with(Trait.AVERAGES)
_LINEAR = operators_with(Trait.WEIGHTED) - {"ConvTranspose"}
_SAME_NUMBERS = operators_with(Trait.RESHAPES | Trait.COPIES) | {"Cast", "Transpose"}


def is_gap_linear(graph: ir.Graph, layer: str, score: str) -> bool:
    """Whether the score is a linear function of the mean of each channel of the layer, and of nothing else.

    Then ``dS/dA`` is the same at every position, and CAM is defined: global average pooling and at most one linear
    layer.
    """
    value, end = find_value(graph, layer), find_value(graph, score)
    averaged, linear = False, 0
    while value is not end:
        consumers = value.consumers()
        if len(consumers) != 1:
            return False
        node = consumers[0]
        if node.op_type in _AVERAGES and not averaged and _averages_all(graph, node):
            averaged = True
        elif node.op_type in _LINEAR and averaged and _constant_but(node, value):
            linear += 1
        elif not (node.op_type in _SAME_NUMBERS or (_constant_but(node, value) and _scales(node, value, averaged))):
            return False
        value = node.outputs[0]
    return averaged and linear <= 1


def _scales(node: ir.Node, value: ir.Value, averaged: bool) -> bool:
    """Whether a node adds constants, or multiplies each channel by one: what a linear layer may take into itself."""
    if node.op_type in ("Add", "Sub", "BatchNormalization"):
        return True
    # Where there are still positions, a factor may differ from one to the next.
    by_constant = sum(entry is value for entry in node.inputs) == 1
    return averaged and by_constant and (node.op_type == "Mul" or (node.op_type == "Div" and node.inputs[0] is value))


def _constant_but(node: ir.Node, value: ir.Value) -> bool:
    return all(entry is None or entry is value or entry.const_value is not None for entry in node.inputs)


def _averages_all(graph: ir.Graph, node: ir.Node) -> bool:
    """Whether a pooling or averaging node leaves one number a channel."""
    source, result = node.inputs[0], node.outputs[0]
    if node.op_type == "GlobalAveragePool" or source is None or result.shape is None:
        return node.op_type == "GlobalAveragePool"
    if node.op_type == "AveragePool":
        # Padding would weigh the positions differently.
        padded = any(node.attributes.get_ints("pads", []))
        return not padded and all(size == 1 for size in result.shape.dims[2:])
    known = axis_meanings(graph).get(source)
    meaning = "" if known is None else known.letters
    axes = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if not meaning or axes is None:
        return False
    return sorted(int(axis) % len(meaning) for axis in axes.numpy()) == sorted(spatial_axes(meaning))


_LINEAR_IN_ALL = operators_with(Trait.LINEAR_IN_ALL)
_LINEAR_IN_FIRST = operators_with(Trait.LINEAR_IN_FIRST)
_LINEAR_IN_EACH = operators_with(Trait.LINEAR_IN_EACH)


def is_affine(graph: ir.Graph, layer: str, score: str) -> bool:
    """Whether the score is an affine function of the layer, as far as the operators between them are known to be."""
    start, end = find_value(graph, layer), find_value(graph, score)
    moving = {start}
    for node in signal_path(graph, end)[0]:
        given = [index for index, value in enumerate(node.inputs) if value is not None and value in moving]
        if not given or node.outputs[0] is start:
            continue
        if not _is_linear(node, given):
            return False
        moving.update(node.outputs)
    return end in moving


def _is_linear(node: ir.Node, given: list[int]) -> bool:
    """Whether a node is affine in the inputs of some indices, the others being fixed."""
    if node.domain != "":
        return False
    if node.op_type in ("Cast", "CastLike"):
        return node.outputs[0].dtype in FLOATS
    if node.op_type == "Pad":
        return given == [0] and node.attributes.get_string("mode", "constant") == "constant"
    if node.op_type == "Gemm":
        return given in ([0], [1], [2], [0, 2], [1, 2])
    if node.op_type in _LINEAR_IN_EACH:
        return len(given) == 1
    return node.op_type in _LINEAR_IN_ALL or (node.op_type in _LINEAR_IN_FIRST and given == [0])
