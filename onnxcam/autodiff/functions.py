"""Operators without a rule of their own, differentiated through ONNX's definition of them."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxcam.autodiff.driver import between, rule_of
from onnxcam.autodiff.registry import Table
from onnxcam.graph.canonical import canonicalize_part
from onnxcam.graph.functions import has_definition, write_out
from onnxcam.graph.values import find_value

# Definitions use operators that have definitions: losses of losses, activations of activations.
_DEPTH = 8


def is_defined(graph: ir.Graph, node: ir.Node) -> bool:
    """Whether ONNX defines the node's operator through others."""
    return has_definition(node, graph.opset_imports.get(node.domain, 1))


def write_out_functions(model: ir.Model, score: str, wrt: Sequence[str], table: Table) -> None:
    """Replace, between some values and the score, what has no rule and a definition; the model is changed.

    Raises:
        DependencyError: the score does not depend on one of the values.
    """
    graph = model.graph
    for _ in range(_DEPTH):
        nodes, _ = between(graph, [find_value(graph, name) for name in wrt], find_value(graph, score))
        missing = [
            node for node in nodes if rule_of(graph.opset_imports, node, table) is None and is_defined(graph, node)
        ]
        written = [write_out(model, node, canonicalize_part) for node in missing]
        if not any(written):
            return
