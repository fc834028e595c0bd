"""What of a graph can be differentiated, found without differentiating it."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.driver import between, kinds, rule_of
from onnxcam.autodiff.functions import is_defined
from onnxcam.autodiff.registry import Table, gradient_table, zero_gradients
from onnxcam.errors import DependencyError
from onnxcam.graph.layers import way
from onnxcam.graph.values import find_value


def without_rule(graph: ir.Graph, score: str, table: Table | None = None) -> dict[str, list[str]]:
    """Return the nodes between the inputs and the score that have no gradient rule, by operator."""
    table, zero = table or gradient_table(), zero_gradients()
    nodes, _ = way(graph, find_value(graph, score))
    return kinds(n for n in nodes if (n.domain, n.op_type) not in zero and not _has_rule(graph, n, table))


def has_gradient(graph: ir.Graph, value: str, score: str, table: Table | None = None) -> bool:
    """Whether the score depends smoothly on a value, and every operator on the way has a rule."""
    table = table or gradient_table()
    try:
        nodes, _ = between(graph, [find_value(graph, value)], find_value(graph, score))
    except DependencyError:
        return False
    return all(_has_rule(graph, node, table) for node in nodes)


def _has_rule(graph: ir.Graph, node: ir.Node, table: Table) -> bool:
    return rule_of(graph.opset_imports, node, table) is not None or is_defined(graph, node)
