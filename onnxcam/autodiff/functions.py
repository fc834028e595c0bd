"""Operators without a rule of their own, differentiated through ONNX's definition of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import onnx_ir as ir

from onnxcam.autodiff.registry import Table
from onnxcam.autodiff.rule_search import rule_of
from onnxcam.graph.passes.canonicalize import canonicalize_part
from onnxcam.graph.passes.inline_functions import has_definition, inline_function

# Definitions use operators that have definitions: losses of losses, activations of activations.
_DEPTH = 8


def is_defined(graph: ir.Graph, node: ir.Node) -> bool:
    """Whether ONNX defines the node's operator through others."""
    return has_definition(node, graph.opset_imports.get(node.domain, 1))


def write_out_functions(model: ir.Model, choose: Callable[[ir.Graph], Iterable[ir.Node]], table: Table) -> None:
    """Replace what has no rule and a definition; the model is changed.

    Args:
        model: canonical.
        choose: returns the nodes that count; called again after each round, since definitions bring new nodes.
        table: rules.
    """
    graph = model.graph
    for _ in range(_DEPTH):
        missing = definable(graph, choose(graph), table)
        written = [inline_function(model, node, canonicalize_part) for node in missing]
        if not any(written):
            return


def definable(graph: ir.Graph, nodes: Iterable[ir.Node], table: Table) -> list[ir.Node]:
    """Return the nodes that have no rule and whose operator ONNX may define; whether it does depends on the inputs."""
    return [n for n in nodes if rule_of(graph.opset_imports, n, table) is None and is_defined(graph, n)]
