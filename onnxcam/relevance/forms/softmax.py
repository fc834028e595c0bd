"""Write a softmax that a file has written out, ``exp(x - max(x)) / sum(exp(x - max(x)))``, as one operator again."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.relevance.forms.affine import reduced_axes


def join_softmax(graph: ir.Graph, keep: frozenset[str]) -> None:
    """Replace quotients of exponentials and their own sums; the graph is changed, names of results are kept.

    Args:
        graph: canonical.
        keep: names of values that must stay between what they are computed from and what is computed from them.
    """
    for node in list(graph):
        found = _exponentials(node)
        if found is None or found.outputs[0].name in keep:
            continue
        x, axis = _unshifted(found.inputs[0]), _summed_axis(node, found.outputs[0])
        if x is None or axis is None:
            continue
        result = node.outputs[0]
        written = ir.node("Softmax", [x], {"axis": axis}, name=node.name)
        new, name = written.outputs[0], result.name
        new.type, new.shape = result.type, None if result.shape is None else result.shape.copy()
        ir.convenience.replace_nodes_and_values(graph, node, [node], [written], [result], [new])
        new.name = name


def _exponentials(node: ir.Node) -> ir.Node | None:
    """Return the exponential that a node divides by something, or multiplies."""
    if node.domain or node.op_type not in ("Div", "Mul"):
        return None
    producers = [None if value is None else value.producer() for value in node.inputs]
    candidates = producers[:1] if node.op_type == "Div" else producers
    return next((found for found in candidates if found is not None and found.op_type == "Exp"), None)


def _summed_axis(node: ir.Node, e: ir.Value) -> int | None:
    """Return the axis that exponentials are summed along where a node divides them by that sum."""
    others = [value for value in node.inputs if value is not e]
    total = None if len(others) != 1 or others[0] is None else others[0].producer()
    if node.op_type == "Mul" and total is not None:
        total = total.inputs[0].producer() if total.op_type == "Reciprocal" and total.inputs[0] is not None else None
    if total is None or total.op_type != "ReduceSum" or total.inputs[0] is not e or e.shape is None:
        return None
    axes = reduced_axes(total, len(e.shape))
    kept = total.attributes.get_int("keepdims", 1)
    return next(iter(axes)) if kept and axes is not None and len(axes) == 1 else None


def _unshifted(value: ir.Value | None) -> ir.Value | None:
    """Return a value without the maximum of its own that is subtracted, which changes no softmax."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Sub" or node.inputs[1] is None:
        return value
    largest = node.inputs[1].producer()
    own = largest is not None and largest.op_type == "ReduceMax" and largest.inputs[0] is node.inputs[0]
    return node.inputs[0] if own else value
