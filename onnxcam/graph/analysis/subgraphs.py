"""Graphs inside nodes: the branches of an If, the body of a loop, and what they read of the graph around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
import onnx_ir as ir


def bodies(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield the graphs that a node holds."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()


def captured(node: ir.Node) -> list[ir.Value]:
    """Return the values that only a node's graphs read, each once, in order; their own values are none of them."""
    nodes = [inner for body in bodies(node) for inner in body.all_nodes()]
    graphs = {inner.graph for inner in nodes}
    own = {value for graph in graphs if graph is not None for value in (*graph.inputs, *graph.initializers.values())}
    own.update(value for inner in nodes for value in inner.outputs)
    read = (value for inner in nodes for value in inner.inputs if value is not None)
    return [value for value in dict.fromkeys(read) if value not in own]


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """Yield every value that a node reads, those included that only its branches or its loop's body read."""
    yield from (value for value in node.inputs if value is not None)
    yield from captured(node)


def return_own_results(graph: onnx.GraphProto) -> None:
    """Put an Identity before what a branch returns without having made it: a value of the graph around it.

    onnxruntime requires it, and code that reads the branch would take the value for one that no node computes.
    """
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _return_own(attribute.g)
                return_own_results(attribute.g)


def _return_own(body: onnx.GraphProto) -> None:
    made = {name for node in body.node for name in node.output}
    made.update(value.name for value in _named(body))
    for position, value in enumerate(body.output):
        if value.name not in made:
            name = f"{value.name}/returned_{body.name}_{position}"
            body.node.append(onnx.helper.make_node("Identity", [value.name], [name]))
            value.name = name


def _named(body: onnx.GraphProto) -> Iterable[onnx.ValueInfoProto | onnx.TensorProto]:
    yield from body.input
    yield from body.initializer
