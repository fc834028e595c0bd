"""Clone nodes, and the graphs that they hold, with some of their inputs replaced."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

Values = dict[ir.Value, ir.Value]
Rename = Callable[[str], str]


def clone_node(node: ir.Node, values: Values, rename: Rename) -> ir.Node:
    """Return a copy of a node; its outputs are added to ``values``.

    Args:
        node: may hold graphs, which are copied with it.
        values: replacements of values that the node reads; others are read as they are.
        rename: gives a new name for each name in the node.
    """
    outputs = []
    for old in node.outputs:
        values[old] = ir.Value(name=rename(old.name) if old.name else old.name)
        outputs.append(values[old])
    inputs = [None if value is None else values.get(value, value) for value in node.inputs]
    attributes = [_clone_attribute(attribute, values, rename) for attribute in node.attributes.values()]
    return ir.Node(
        node.domain,
        node.op_type,
        inputs,
        attributes,
        overload=node.overload,
        outputs=outputs,
        name=rename(node.name or node.op_type),
    )


def _clone_attribute(attribute: ir.Attr, values: Values, rename: Rename) -> ir.Attr:
    if attribute.type != ir.AttributeType.GRAPH:
        return attribute
    return ir.AttrGraph(attribute.name, _clone_body(attribute.as_graph(), values, rename))


def _clone_body(body: ir.Graph, around: Values, rename: Rename) -> ir.Graph:
    """Return a copy of a graph that a node holds. Its own values are not added to ``around``."""
    values = dict(around)
    for old in (*body.inputs, *body.initializers.values()):
        values[old] = ir.Value(name=rename(str(old.name)), shape=old.shape, type=old.type, const_value=old.const_value)
    nodes = [clone_node(node, values, rename) for node in body]
    for node in body:
        for old in node.outputs:
            # The results of a body have types, and nothing has inferred shapes in the copy yet.
            values[old].type, values[old].shape = old.type, old.shape
    return ir.Graph(
        [values[value] for value in body.inputs],
        [values.get(value, value) for value in body.outputs],
        nodes=nodes,
        initializers=[values[value] for value in body.initializers.values()],
        opset_imports=body.opset_imports.copy(),
        name=body.name and rename(body.name),
    )
