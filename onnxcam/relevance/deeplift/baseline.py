"""A model that computes everything after a layer a second time, at the baseline."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.functions import write_out_functions
from onnxcam.autodiff.registry import gradient_table
from onnxcam.graph.analysis.reachability import between
from onnxcam.graph.analysis.subgraphs import reads
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, traits
from onnxcam.graph.passes.clone import clone_node
from onnxcam.relevance.deeplift.ends import PREFIX
from onnxcam.relevance.deeplift.written_out import write_out

# Name of the input of factors that say what of the layer the baseline keeps.
KEPT = "kept"


def with_baseline(model: ir.Model, layer: str, score: str, keeps: bool = False) -> ir.Model:
    """Return a model that computes everything after a layer a second time, with zeros instead of the layer.

    Args:
        model: canonical; it is not changed.
        layer: name of the value that differs.
        score: name of the value that is explained.
        keeps: add an input ``KEPT``, float32 factors of the layer's rank: the baseline is the layer times these.
    """
    model = model.clone()
    graph = model.graph

    def after(graph: ir.Graph) -> list[ir.Node]:
        return between(graph, [find_value(graph, layer)], [find_value(graph, score)])[0]

    write_out_functions(model, after, gradient_table())
    write_out(model, after(graph))
    start = find_value(graph, layer)
    zeros = _baseline(Builder(graph, "zeros"), start, keeps)
    twins: dict[ir.Value, ir.Value] = {start: zeros.value}
    for node in after(graph):
        if traits(node.op_type) & Trait.SIZES or not any(value in twins for value in reads(node)):
            continue  # the same at the baseline
        twin = clone_node(node, twins, lambda name: f"{PREFIX}{name}")
        for value, other in zip(node.outputs, twin.outputs, strict=True):
            other.type, other.shape = value.type, value.shape
        graph.append(twin)
    zeros.value.name = f"{PREFIX}{start.name}"
    graph.sort()
    return model


def _baseline(op: Builder, start: ir.Value, keeps: bool) -> Var:
    factors = op.const(0.0, start.dtype)
    if keeps:
        axes = range(len(start.shape or ()))
        kind = ir.TensorType(ir.DataType.FLOAT)
        given = ir.Value(name=KEPT, type=kind, shape=ir.Shape([f"kept_{axis}" for axis in axes]))
        op.graph.inputs.append(given)
        factors = op.cast(op.var(given), op.var(start).dtype)
    zeros = op.var(start) * factors
    zeros.value.shape = start.shape
    return zeros
