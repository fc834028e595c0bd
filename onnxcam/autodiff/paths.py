"""Which nodes and values lie between a layer and the score, as far as a gradient passes."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

import onnx_ir as ir

from onnxcam.autodiff.lowering import is_step
from onnxcam.autodiff.registry import constant_outputs, zero_gradients
from onnxcam.errors import DependencyError, NoGradientError
from onnxcam.graph.analysis import reachability
from onnxcam.graph.analysis.dtypes import carries_signal


def label(node: ir.Node) -> str:
    """Return a node's operator and name, as messages show them."""
    domain = f"{node.domain}:" if node.domain else ""
    return f"{domain}{node.op_type} '{node.name or node.outputs[0].name}'"


def kinds(nodes: Iterable[ir.Node]) -> dict[str, list[str]]:
    """Return the names of nodes by operator, in alphabetical order of operators."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        kind = f"{node.domain}:{node.op_type}" if node.domain else node.op_type
        found.setdefault(kind, []).append(node.name or str(node.outputs[0].name))
    return dict(sorted(found.items()))


def located(kind: str, names: Sequence[str]) -> str:
    """Return an operator and the first three of its nodes, as messages show them."""
    return f"{kind} (at {', '.join(names[:3])})"


def carries_gradient(node: ir.Node, value: ir.Value, found: Container[ir.Value]) -> bool:
    """Whether a gradient can belong to an output of a node, given the values that already have one."""
    constant = constant_outputs(node.domain, node.op_type)
    return value.index() not in constant and carries_signal(node, value, found)


def smooth_outputs(node: ir.Node, found: Container[ir.Value]) -> list[ir.Value]:
    """Return the outputs of a node that change smoothly with those of its inputs that are among some values."""
    if (node.domain, node.op_type) in zero_gradients() or is_step(node):
        return []
    return [value for value in node.outputs if carries_gradient(node, value, found)]


def paths(
    graph: ir.Graph, sources: Iterable[ir.Value], ends: Iterable[ir.Value]
) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return the nodes through which an end changes smoothly with a source, in order, and the values on these paths.

    The node that computes a source is not among them, unless it lies on a path from another source.
    """
    return reachability.between(graph, sources, ends, smooth_outputs)


def between(graph: ir.Graph, sources: Sequence[ir.Value], score: ir.Value) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return the nodes on a path from a source to the score, in order, and the values on these paths.

    Raises:
        DependencyError: the score does not depend on one of the sources.
        NoGradientError: it does, but as a step function.
    """
    nodes, found = paths(graph, sources, [score])
    for source in sources:
        if source not in found or score not in found:
            stopped = kinds(_stopping(graph, source, score))
            why = f": no gradient flows through {', '.join(stopped)}" if stopped else ""
            raise (NoGradientError if stopped else DependencyError)(
                f"'{score.name}' does not depend smoothly on '{source.name}'{why}; "
                "choose a layer that the score depends on (onnxcam inspect lists them)"
            )
    return nodes, found


def _stopping(graph: ir.Graph, source: ir.Value, score: ir.Value) -> Iterator[ir.Node]:
    """Return the nodes between a value and the score that no gradient passes."""
    nodes, values = reachability.between(graph, [source], [score])
    return (node for node in nodes if not smooth_outputs(node, values))
