"""The batch axis: whether the file leaves it open, and an attempt to open it where it does not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxcam.graph.branches import reads
from onnxcam.graph.canonical import infer_shapes
from onnxcam.graph.inputs import model_inputs
from onnxcam.graph.values import data_inputs

BATCH = "batch"


def batch_size(graph: ir.Graph) -> int | None:
    """Return how many samples the graph takes at once: a number, or None where any number goes."""
    sizes = {entry.shape[0] for entry in model_inputs(graph) if entry.batched and entry.shape}
    fixed = [size for size in sizes if size is not None]
    return max(fixed) if fixed else None


def with_samples(graph: ir.Graph) -> set[ir.Value]:
    """Return all that depends on the samples of a run; the rest is the same for all of them."""
    found = set(_batched(graph))
    for node in graph:
        if any(value in found for value in reads(node)):
            found.update(node.outputs)
    return found


def _batched(graph: ir.Graph) -> list[ir.Value]:
    """Return the inputs that have a row for each sample."""
    values = data_inputs(graph)
    return [value for value, entry in zip(values, model_inputs(graph), strict=True) if entry.batched]


def mixes_samples(graph: ir.Graph) -> bool:
    """Whether what one sample gives depends on the others of its run.

    DynamicQuantizeLinear rounds by the range of all that it is given; one branch of an If is taken for all.
    """
    shared = set(data_inputs(graph)) - set(_batched(graph))
    return any(
        node.op_type == "DynamicQuantizeLinear" or (node.op_type == "If" and _is_computed(node.inputs[0], shared))
        for node in graph.all_nodes()
    )


def _is_computed(value: ir.Value | None, shared: set[ir.Value]) -> bool:
    """Whether a value depends on numbers of the samples: not on their sizes alone, nor on what they share."""
    waiting, seen = [value], set()
    while waiting:
        found = waiting.pop()
        if found is None or found in seen:
            continue
        seen.add(found)
        producer = found.producer()
        # A single number that is none of the model's inputs is a loop's count of steps.
        several = found.shape is None or len(found.shape) > 0
        if producer is None and found.is_graph_input() and found not in shared and several:
            return True
        if producer is not None and producer.op_type not in ("Shape", "Size"):
            waiting.extend(reads(producer))
    return False


def open_batch(model: ir.Model) -> ir.Model:
    """Return a copy of a model for one sample that takes any number, if its operators play along.

    Inputs get an open first axis, and a Reshape that writes 1 there keeps the size that comes in. That the result
    treats samples apart is for the caller to check by running it: other operators may have the 1 built in, too.
    """
    model = model.clone()
    graph = model.graph
    for node in graph:
        if node.op_type == "Reshape" and node.domain == "":
            _keep_first_axis(graph, node)
    for value in _batched(graph):
        if value.shape is not None:
            value.shape = ir.Shape([BATCH, *value.shape.dims[1:]])
    for node in graph:
        for value in node.outputs:
            if value.shape is not None and len(value.shape):
                value.shape = None
    return infer_shapes(model)


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
