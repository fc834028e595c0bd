"""What of a graph can be differentiated, found without differentiating it."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.functions import definable, write_out_functions
from onnxcam.autodiff.paths import between, paths
from onnxcam.autodiff.registry import Table, gradient_table, zero_gradients
from onnxcam.autodiff.rule_search import without_rules
from onnxcam.errors import DependencyError
from onnxcam.graph.analysis.reachability import signal_path
from onnxcam.graph.analysis.values import data_inputs, find_value

_COUNTS = (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.BOOL)


class Coverage:
    """Which gradients of one score exist, by the same search for rules that differentiation makes."""

    def __init__(self, model: ir.Model, score: str, table: Table | None = None) -> None:
        """Write out operators that have a definition in place of a rule, in a copy of a canonical model."""
        self._table = table or gradient_table()
        self._score = score
        if definable(model.graph, self._nodes(model.graph), self._table):
            model = model.clone()
            write_out_functions(model, self._nodes, self._table)
        self._graph = model.graph

    def _nodes(self, graph: ir.Graph) -> list[ir.Node]:
        zero = zero_gradients()
        nodes, _ = signal_path(graph, find_value(graph, self._score))
        return [node for node in nodes if (node.domain, node.op_type) not in zero]

    def missing(self) -> dict[str, list[str]]:
        """Return the nodes between the inputs and the score that have no gradient rule, by operator."""
        graph = self._graph
        inputs = data_inputs(graph)
        _, smooth = paths(graph, inputs, [find_value(graph, self._score)])
        # Integer inputs, such as words and positions, are among these values; they need no gradient.
        smooth.difference_update(value for value in inputs if value.dtype in _COUNTS)
        return without_rules(graph.opset_imports, self._nodes(graph), smooth, self._table)

    def has_gradient(self, value: str) -> bool:
        """Whether the score depends smoothly on a value, and every operator between the two has a rule."""
        graph = self._graph
        try:
            nodes, wanted = between(graph, [find_value(graph, value)], find_value(graph, self._score))
        except DependencyError:
            return False
        return not without_rules(graph.opset_imports, nodes, wanted, self._table)
