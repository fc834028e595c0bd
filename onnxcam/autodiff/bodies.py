"""Graphs inside nodes: copies that a backward pass is written into, and what a gradient passes in a loop's body."""

from __future__ import annotations

from collections.abc import Container

import onnx_ir as ir

from onnxcam.autodiff.builder import Builder
from onnxcam.autodiff.paths import paths
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.subgraphs import bodies, captured
from onnxcam.graph.operators import Trait, operators_with


def copied(op: Builder, body: ir.Graph) -> tuple[ir.Graph, Builder]:
    """Return a copy of a body in which every value has a name that nothing else has, and what writes into it."""
    prefix = op.unique("body")
    copy = body.clone(allow_outer_scope_values=True)
    for graph in (copy, *copy.subgraphs()):
        graph.name = f"{prefix}/{graph.name}"
        for value in graph.inputs:
            value.name = f"{prefix}/{value.name}"
    for inner in copy.all_nodes():
        inner.name = f"{prefix}/{inner.name}"
        for value in inner.outputs:
            value.name = f"{prefix}/{value.name}" if value.name else value.name
    return copy, Builder(copy, prefix)


def differentiated_inputs(node: ir.Node, wanted: Container[ir.Value]) -> list[ir.Value]:
    """Return the inputs of a Scan's body whose gradient is needed for that of the wanted values.

    A state counts where what it starts with does, or where a step changes it by a value that counts.
    """
    body = node.attributes["body"].as_graph()
    around = [value for value in captured(node) if value in wanted]
    states = len(node.inputs) - node.attributes.get_int("num_scan_inputs", 0)
    found = {inner for inner, value in zip(body.inputs, node.inputs, strict=True) if value in wanted}
    while True:
        reached = paths(body, [*found, *around], body.outputs)[1]
        grown = found | {body.inputs[i] for i in range(states) if body.outputs[i] in reached and _is_float(body, i)}
        if grown == found:
            return [value for value in body.inputs if value in found]
        found = grown


def sources(node: ir.Node, body: ir.Graph, wanted: Container[ir.Value]) -> list[ir.Value]:
    """Return the values that a gradient is followed to in a body: those read around it, and a loop's own inputs."""
    around = [value for value in captured(node) if value in wanted]
    return around if node.op_type == "If" else [*differentiated_inputs(node, wanted), *around]


def _is_float(body: ir.Graph, index: int) -> bool:
    return body.inputs[index].dtype in FLOATS or body.outputs[index].dtype in FLOATS


def refuse_chance(node: ir.Node) -> None:
    """Raise for a body that draws random numbers.

    Raises:
        UnsupportedError: it does.
    """
    for body in bodies(node):
        for inner in body.all_nodes():
            if not inner.domain and inner.op_type in operators_with(Trait.RANDOM):
                raise UnsupportedError(
                    f"{node.op_type} '{node.name}': its {'branch' if node.op_type == 'If' else 'body'} draws by chance "
                    f"({inner.op_type} '{inner.name}'), which the backward pass would do a second time with another "
                    "result; export the model without it"
                )
