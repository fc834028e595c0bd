"""Weights of their own for the backward pass, for runtimes that confuse weights which both passes read."""

from __future__ import annotations

from collections.abc import Container

import onnx_ir as ir

from onnxcam.autodiff.builder import Builder


def separate_weights(graph: ir.Graph, op: Builder, forward: Container[ir.Node]) -> None:
    """Give every backward node its own copy of each weight that a forward node reads too.

    What is computed from weights alone, such as a dequantised kernel, is a weight once the runtime has folded it: it is
    copied with the nodes that compute it.

    Args:
        graph: differentiated; it is changed.
        op: for names.
        forward: the nodes that were there before the backward pass.
    """
    copies: dict[ir.Value, ir.Value] = {}
    for node in [node for node in graph.all_nodes() if node not in forward]:
        for index, value in enumerate(node.inputs):
            if value is not None and _is_shared(value, forward) and _is_fixed(value):
                node.replace_input_with(index, _copied(graph, op, value, copies))


def _is_shared(value: ir.Value, forward: Container[ir.Node]) -> bool:
    producer = value.producer()
    return producer in forward if producer is not None else any(user in forward for user, _ in value.uses())


def _is_fixed(value: ir.Value) -> bool:
    """Whether a value depends on weights alone."""
    producer = value.producer()
    if producer is None:
        return value.is_initializer()
    fed = [entry for entry in producer.inputs if entry is not None]
    plain = all(attribute.type != ir.AttributeType.GRAPH for attribute in producer.attributes.values())
    return bool(fed) and plain and all(_is_fixed(entry) for entry in fed)


def _copied(graph: ir.Graph, op: Builder, value: ir.Value, copies: dict[ir.Value, ir.Value]) -> ir.Value:
    if value in copies:
        return copies[value]
    producer = value.producer()
    if producer is None:
        copy = ir.Value(name=op.unique(f"copy/{value.name}"), shape=value.shape, type=value.type)
        # The numbers are not copied: two initializers hold one array.
        copy.const_value = value.const_value
        graph.register_initializer(copy)
        copies[value] = copy
        return copy
    inputs = [None if v is None else _copied(graph, op, v, copies) for v in producer.inputs]
    outputs = [ir.Value(name=op.unique(f"copy/{v.name}"), shape=v.shape, type=v.type) for v in producer.outputs]
    node = ir.Node(
        producer.domain,
        producer.op_type,
        inputs,
        list(producer.attributes.values()),
        outputs=outputs,
        name=outputs[0].name,
    )
    graph.insert_before(producer, node)
    copies.update(zip(producer.outputs, outputs, strict=True))
    return copies[value]
