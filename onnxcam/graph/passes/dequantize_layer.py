"""Dequantise a layer: maps are made of real activations and real gradients."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.quantization import MICROSOFT, quantization
from onnxcam.graph.analysis.values import find_value

# From here on, ONNX's own operators take the types that before only onnxruntime's did.
_ALL_TYPES = 21
_EIGHT_BITS = {ir.DataType.INT8, ir.DataType.UINT8}


def dequantize_layer(model: ir.Model, name: str) -> tuple[ir.Model, str]:
    """Return a model that has the named value in real numbers, and the name of these numbers.

    A quantised value is dequantised and quantised again with its own scale and zero point, which gives the same
    integers back: the scores stay what they are, and everything else treats the real value as any other layer. Integers
    without a scale count as the real numbers that they are.
    """
    if find_value(model.graph, name).dtype in FLOATS | {None}:
        return model, name
    model = model.clone()
    graph = model.graph
    value = find_value(graph, name)
    uses = [(node, index) for node, index in value.uses() if node.graph is graph]
    found = quantization(value)
    if found is None:
        nodes = [_cast(value, ir.DataType.FLOAT), _cast(None, value.dtype or ir.DataType.UNDEFINED)]
    else:
        parameters = [parameter for parameter in found if parameter is not None]
        domain = "" if value.dtype in _EIGHT_BITS or graph.opset_imports.get("", 0) >= _ALL_TYPES else MICROSOFT
        nodes = [
            ir.Node(domain, "DequantizeLinear", [value, *parameters], num_outputs=1),
            ir.Node(domain, "QuantizeLinear", [None, *parameters], num_outputs=1),
        ]
        if domain:
            graph.opset_imports.setdefault(domain, 1)
    there, back = nodes
    _name(there, f"{value.name}/real", ir.DataType.FLOAT, value)
    _name(back, f"{value.name}/quantized", value.dtype or ir.DataType.UNDEFINED, value)
    back.replace_input_with(0, there.outputs[0])
    _insert(graph, value, nodes)
    for node, index in uses:
        node.replace_input_with(index, back.outputs[0])
    return model, str(there.outputs[0].name)


def _cast(value: ir.Value | None, to: ir.DataType) -> ir.Node:
    return ir.Node("", "Cast", [value], [ir.AttrInt64("to", int(to))], num_outputs=1)


def _name(node: ir.Node, name: str, dtype: ir.DataType, like: ir.Value) -> None:
    output = node.outputs[0]
    node.name, output.name = name, name
    output.type, output.shape = ir.TensorType(dtype), like.shape


def _insert(graph: ir.Graph, value: ir.Value, nodes: list[ir.Node]) -> None:
    """Put nodes right after the value that they read; scales may be computed too, but always before it."""
    producer = value.producer()
    if producer is not None:
        graph.insert_after(producer, nodes)
    else:
        graph.insert_before(graph[0], nodes)
