"""What of a graph can be differentiated, found without differentiating it."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.driver import between, kinds, rule_of
from onnxcam.autodiff.registry import Table, gradient_table, zero_gradients
from onnxcam.errors import DependencyError
from onnxcam.graph.layers import way
from onnxcam.graph.values import find_value


def without_rule(graph: ir.Graph, score: str, table: Table | None = None) -> dict[str, list[str]]:
    """Return the nodes between the inputs and the score that have no gradient rule, by operator."""
    table, zero = table or gradient_table(), zero_gradients()
    nodes, _ = way(graph, find_value(graph, score))
    return kinds(n for n in nodes if (n.domain, n.op_type) not in zero and rule_of(graph, n, table) is None)


def has_gradient(graph: ir.Graph, value: str, score: str, table: Table | None = None) -> bool:
    """Whether the score depends smoothly on a value, and every operator on the way has a rule."""
    table = table or gradient_table()
    try:
        nodes, _ = between(graph, [find_value(graph, value)], find_value(graph, score))
    except DependencyError:
        return False
    return all(rule_of(graph, node, table) is not None for node in nodes)
