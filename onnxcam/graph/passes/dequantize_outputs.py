"""Add the real scores to networks that end in integers."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.analysis.dtypes import QUANTIZED
from onnxcam.graph.analysis.quantization import MICROSOFT, quantization
from onnxcam.graph.operators import Trait, operators_with

_ACTIVATIONS = {"QLinearSoftmax": "Softmax", "QLinearSigmoid": "Sigmoid"}
_MOVES = operators_with(Trait.RESHAPES | Trait.COPIES)


class DequantizeOutputs(ir.passes.InPlacePass):
    """Put the real scores before every integer output, in the form that other networks have.

    A final activation on integers is written as one on real numbers; other integers are dequantised and quantised
    again. Scores stay what they are; probabilities after a final activation may differ in their last bit.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite what makes each integer output."""
        modified = False
        for output in list(model.graph.outputs):
            producer = _producer(output) if output.dtype in QUANTIZED else None
            if producer is None or producer.op_type == "QuantizeLinear":
                continue
            if producer.domain == MICROSOFT and producer.op_type in _ACTIVATIONS:
                modified |= _expand_activation(model.graph, producer)
            elif (parameters := quantization(producer.outputs[0])) is not None:
                _quantize_again(model.graph, producer, parameters)
                modified = True
        return ir.passes.PassResult(model, modified)


def _producer(output: ir.Value) -> ir.Node | None:
    """Return the node that computes an output, before what only reshapes it."""
    node = output.producer()
    while node is not None and node.domain == "" and node.op_type in _MOVES and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node


def _expand_activation(graph: ir.Graph, node: ir.Node) -> bool:
    """Write an activation as DequantizeLinear, activation, QuantizeLinear; False for a softmax over several axes."""
    name, parameters = str(node.outputs[0].name), list(node.inputs)
    scores = node.inputs[0]
    shape = node.outputs[0].shape
    rank = None if shape is None else len(shape)
    axis = node.attributes.get_int("axis", -1)
    if node.attributes.get_int("opset", 13) < 13 and axis not in (-1, (rank or 0) - 1):
        return False
    real = _node("DequantizeLinear", [scores, *parameters[1:3]], f"{name}/scores", ir.DataType.FLOAT, shape)
    attributes = [ir.AttrInt64("axis", axis)] if node.op_type == "QLinearSoftmax" else []
    kind = _ACTIVATIONS[node.op_type]
    chances = _node(kind, [real.outputs[0]], f"{name}/real", ir.DataType.FLOAT, shape, attributes)
    back = _node("QuantizeLinear", [chances.outputs[0], *parameters[3:5]], f"{name}/back", node.outputs[0].dtype, shape)
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [real, chances, back], [node.outputs[0]], [back.outputs[0]]
    )
    return True


def _quantize_again(graph: ir.Graph, node: ir.Node, parameters: tuple[ir.Value, ir.Value | None]) -> None:
    """Dequantise what a node gives and quantise it again; everything reads the result."""
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
