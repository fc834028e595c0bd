"""Networks that end in integers: their scores as real numbers, in the form that other networks have."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.analysis.dtypes import QUANTIZED
from onnxcam.graph.analysis.quantization import MICROSOFT, quantization

_ACTIVATIONS = {"QLinearSoftmax": "Softmax", "QLinearSigmoid": "Sigmoid"}
_MOVES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"}


def end_in_real_numbers(model: ir.Model) -> ir.Model:
    """Put the real scores before every integer output: a last activation works on them, or they are quantised again.

    Scores stay what they are; probabilities behind a last activation may differ in their last bit.
    """
    for output in list(model.graph.outputs):
        producer = _ending(output) if output.dtype in QUANTIZED else None
        if producer is None or producer.op_type == "QuantizeLinear":
            continue
        if producer.domain == MICROSOFT and producer.op_type in _ACTIVATIONS:
            _take_apart(model.graph, producer)
        elif (parameters := quantization(producer.outputs[0])) is not None:
            _quantize_again(model.graph, producer, parameters)
    return model


def _ending(output: ir.Value) -> ir.Node | None:
    node = output.producer()
    while node is not None and node.domain == "" and node.op_type in _MOVES and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node


def _take_apart(graph: ir.Graph, node: ir.Node) -> None:
    """DequantizeLinear, the activation, QuantizeLinear."""
    name, parameters = str(node.outputs[0].name), list(node.inputs)
    scores = node.inputs[0]
    shape = node.outputs[0].shape
    rank = None if shape is None else len(shape)
    axis = node.attributes.get_int("axis", -1)
    if node.attributes.get_int("opset", 13) < 13 and axis not in (-1, (rank or 0) - 1):
        return
    real = _node("DequantizeLinear", [scores, *parameters[1:3]], f"{name}/scores", ir.DataType.FLOAT, shape)
    attributes = [ir.AttrInt64("axis", axis)] if node.op_type == "QLinearSoftmax" else []
    kind = _ACTIVATIONS[node.op_type]
    chances = _node(kind, [real.outputs[0]], f"{name}/real", ir.DataType.FLOAT, shape, attributes)
    back = _node("QuantizeLinear", [chances.outputs[0], *parameters[3:5]], f"{name}/back", node.outputs[0].dtype, shape)
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [real, chances, back], [node.outputs[0]], [back.outputs[0]]
    )


def _quantize_again(graph: ir.Graph, node: ir.Node, parameters: tuple[ir.Value, ir.Value | None]) -> None:
    value = node.outputs[0]
    name, given = str(value.name), [p for p in parameters if p is not None]
    uses = list(value.uses())
    real = _node("DequantizeLinear", [value, *given], f"{name}/scores", ir.DataType.FLOAT, value.shape)
    back = _node("QuantizeLinear", [real.outputs[0], *given], f"{name}/back", value.dtype, value.shape)
    graph.insert_after(node, [real, back])
    for user, index in uses:
        user.replace_input_with(index, back.outputs[0])
    if value in graph.outputs:
        # The output keeps its name.
        value.name, back.outputs[0].name = f"{name}/whole", name
        graph.outputs[list(graph.outputs).index(value)] = back.outputs[0]


def _node(
    op_type: str,
    inputs: list[ir.Value | None],
    name: str,
    dtype: ir.DataType | None,
    shape: ir.Shape | None,
    attributes: list[ir.Attr] | None = None,
) -> ir.Node:
    node = ir.Node("", op_type, inputs, attributes or [], num_outputs=1, name=name)
    output = node.outputs[0]
    output.name, output.shape = name, shape
    output.type = None if dtype is None else ir.TensorType(dtype)
    return node
