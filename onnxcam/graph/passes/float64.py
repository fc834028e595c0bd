"""Convert a model to double precision."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxcam.graph.analysis.dtypes import FLOATS

# Inputs that are float32 whatever the type of the others.
_FLOAT32_ONLY = {("Resize", 2), ("Upsample", 1)}
# Attributes that name a type.
_TYPE_ATTRIBUTES = ("to", "dtype")


class ToFloat64(ir.passes.FunctionalPass):
    """Turn every float, half and bfloat16 of a canonical model into a double.

    An engine may lack double kernels for some of its operators: onnxruntime has none for convolutions.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Return a converted copy."""
        model = model.clone()
        graph = model.graph
        for inner in [graph, *graph.subgraphs()]:
            for value in inner.initializers.values():
                _raise_weight(value)
            for value in inner.inputs:
                _raise_type(value)
        for node in list(graph.all_nodes()):
            for name in _TYPE_ATTRIBUTES:
                if name in node.attributes and ir.DataType(node.attributes[name].as_int()) in FLOATS:
                    node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.DOUBLE))
            for name, attribute in list(node.attributes.items()):
                if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in FLOATS:
                    node.attributes[name] = ir.AttrTensor(name, _double(attribute.as_tensor()))
            for value in node.outputs:
                _raise_type(value)
            _keep_float32(node)
        return ir.passes.PassResult(model, True)


def _raise_type(value: ir.Value) -> None:
    if value.dtype in FLOATS:
        value.type = ir.TensorType(ir.DataType.DOUBLE)


def _raise_weight(value: ir.Value) -> None:
    if value.const_value is not None and value.const_value.dtype in FLOATS:
        value.const_value = _double(value.const_value)
        value.type = ir.TensorType(ir.DataType.DOUBLE)


def _double(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float64), name=tensor.name)


def _keep_float32(node: ir.Node) -> None:
    """Convert back what an operator takes as float32 only."""
    for index, value in enumerate(node.inputs):
        if value is None or (node.op_type, index) not in _FLOAT32_ONLY or node.domain != "":
            continue
        cast = ir.Node("", "Cast", [value], [ir.AttrInt64("to", int(ir.DataType.FLOAT))], num_outputs=1)
        cast.outputs[0].name = cast.name = f"{node.outputs[0].name}/float32_{index}"
        cast.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        cast.outputs[0].shape = value.shape
        assert node.graph is not None
        node.graph.insert_before(node, cast)
        node.replace_input_with(index, cast.outputs[0])
