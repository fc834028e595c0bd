"""The batch axis: whether the file leaves it open, and whether samples of one run change each other's results."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.analysis.inputs import model_inputs
from onnxcam.graph.analysis.reachability import ancestors, descendants
from onnxcam.graph.analysis.values import data_inputs
from onnxcam.graph.operators import Trait, operators_with

BATCH = "batch"
_SIZES = operators_with(Trait.SIZES)


def batch_size(graph: ir.Graph) -> int | None:
    """Return how many samples the graph takes at once: a number, or None where any number goes."""
    sizes = {entry.shape[0] for entry in model_inputs(graph) if entry.batched and entry.shape}
    fixed = [size for size in sizes if size is not None]
    return max(fixed) if fixed else None


def with_samples(graph: ir.Graph) -> set[ir.Value]:
    """Return all that depends on the samples of a run; the rest is the same for all of them."""
    return descendants(graph, batched_inputs(graph))


def batched_inputs(graph: ir.Graph) -> list[ir.Value]:
    """Return the inputs that have a row for each sample."""
    values = data_inputs(graph)
    return [value for value, entry in zip(values, model_inputs(graph), strict=True) if entry.batched]


def mixes_samples(graph: ir.Graph) -> bool:
    """Whether what one sample gives depends on the others of its run.

    DynamicQuantizeLinear rounds by the range of all that it is given; one branch of an If is taken for all.
    """
    shared = set(data_inputs(graph)) - set(batched_inputs(graph))
    return any(
        node.op_type == "DynamicQuantizeLinear" or (node.op_type == "If" and _is_computed(node.inputs[0], shared))
        for node in graph.all_nodes()
    )


def _is_computed(value: ir.Value | None, shared: set[ir.Value]) -> bool:
    """Whether a value depends on numbers of the samples: not on their sizes alone, nor on what they share."""

    def is_sample(entry: ir.Value) -> bool:
        # A single number that is none of the model's inputs is a loop's count of steps.
        several = entry.shape is None or len(entry.shape) > 0
        return entry.producer() is None and entry.is_graph_input() and entry not in shared and several

    return value is not None and any(map(is_sample, ancestors(value, _depends_on_numbers)))


def _depends_on_numbers(value: ir.Value) -> bool:
    """Whether a value is more than the sizes of another."""
    producer = value.producer()
    return producer is not None and producer.op_type not in _SIZES
