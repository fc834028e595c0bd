"""Open the batch axis of a model that takes one sample."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxcam.graph.analysis.batch import BATCH, batched_inputs
from onnxcam.graph.passes.infer_shapes import InferShapes


class OpenBatch(ir.passes.FunctionalPass):
    """Let a model for one sample take any number of them, as far as its operators allow.

    Inputs get an open first axis, and a Reshape that writes 1 there keeps the size that comes in. Whether the result
    treats samples independently is for the caller to check by running it: other operators may have the 1 built in.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Return a copy with an open batch axis."""
        model = model.clone()
        graph = model.graph
        for node in graph:
            if node.op_type == "Reshape" and node.domain == "":
                _keep_first_axis(graph, node)
        for value in batched_inputs(graph):
            if value.shape is not None:
                value.shape = ir.Shape([BATCH, *value.shape.dims[1:]])
        for node in graph:
            for value in node.outputs:
                if value.shape is not None and len(value.shape):
                    value.shape = None
        InferShapes()(model)
        return ir.passes.PassResult(model, True)


def _keep_first_axis(graph: ir.Graph, node: ir.Node) -> None:
    data, target = node.inputs[0], node.inputs[1]
    if data is None or data.shape is None or not len(data.shape) or data.shape[0] != 1:
        return
    if target is None or target.const_value is None or node.attributes.get_int("allowzero", False):
        return
    sizes = target.const_value.numpy()
    if not (sizes.size and sizes[0] == 1):
        return
    kept = np.concatenate([[0], sizes[1:]]).astype(np.int64)
    value = ir.Value(
        name=f"{target.name}/open_batch_{node.outputs[0].name}",
        shape=ir.Shape(kept.shape),
        type=ir.TensorType(ir.DataType.INT64),
    )
    value.const_value = ir.tensor(kept, name=value.name)
    graph.register_initializer(value)
    node.replace_input_with(1, value)
