"""The walk backwards: prune, call rules, undo broadcasting, sum what arrives, name what leaves.

Everything that all rules would have to do is done here once, so that a rule is only its derivative.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var, shape_of
from onnxcam.autodiff.node import NodeView, UnknownShapeError, cotangent_type
from onnxcam.autodiff.registry import Rule, Table, constant_outputs, find_rule, refusals, zero_gradients
from onnxcam.errors import DependencyError, UnsupportedError
from onnxcam.graph.signal import carries_signal


def label(node: ir.Node) -> str:
    """Return how messages call a node: its operator and its name."""
    domain = f"{node.domain}:" if node.domain else ""
    return f"{domain}{node.op_type} '{node.name or node.outputs[0].name}'"


def carries_gradient(node: ir.Node, value: ir.Value, found: Container[ir.Value]) -> bool:
    """Whether a gradient can belong to an output of a node, given the values that already have one."""
    constant = constant_outputs(node.domain, node.op_type)
    return value.index() not in constant and carries_signal(node, value, found)


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """Yield every value that a node reads, those included that only its branches or its loop's body read."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.type != ir.AttributeType.GRAPH:
            continue
        for inner in attribute.as_graph().all_nodes():
            yield from (value for value in inner.inputs if value is not None)


def influenced(graph: ir.Graph, sources: Iterable[ir.Value]) -> set[ir.Value]:
    """Return every value that changes smoothly with one of the sources, the sources included."""
    zero = zero_gradients()
    found = set(sources)
    for node in graph:
        if (node.domain, node.op_type) not in zero and any(value in found for value in reads(node)):
            found.update([value for value in node.outputs if carries_gradient(node, value, found)])
    return found


def between(graph: ir.Graph, sources: Sequence[ir.Value], score: ir.Value) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return the nodes that lead from a source to the score, in order, and the values on those ways.

    Raises:
        DependencyError: the score does not depend on one of the sources.
    """
    forward = influenced(graph, sources)
    needed, nodes = {score}, []
    for node in reversed(graph):
        if any(value in needed and value in forward for value in node.outputs):
            nodes.append(node)
            needed.update(reads(node))
    for source in sources:
        if source not in needed or score not in forward:
            stopped = kinds(_stopping(graph, source, score))
            why = f": no gradient flows through {', '.join(stopped)}" if stopped else ""
            raise DependencyError(
                f"'{score.name}' does not depend smoothly on '{source.name}'{why}; "
                "choose a layer on the way to the score (onnxcam inspect lists them), "
                "or a method that needs no gradient such as eigen-cam"
            )
    return nodes[::-1], forward & needed


def _stopping(graph: ir.Graph, source: ir.Value, score: ir.Value) -> Iterator[ir.Node]:
    """Yield the nodes on the way from a value to the score, of whatever type, that let no gradient through."""
    reached, needed, zero = {source}, {score}, zero_gradients()
    for node in graph:
        if any(value in reached for value in reads(node)):
            reached.update(node.outputs)
    for node in reversed(graph):
        if any(value in needed and value in reached for value in node.outputs):
            needed.update(reads(node))
            if (node.domain, node.op_type) in zero or not any(
                carries_gradient(node, value, reached) for value in node.outputs
            ):
                yield node


def rule_of(graph: ir.Graph, node: ir.Node, table: Table) -> Rule | None:
    """Return the rule of one node, or None if the table has none for it."""
    return find_rule(table, node.domain, node.op_type, graph.opset_imports.get(node.domain, 1))


def find_rules(graph: ir.Graph, nodes: Iterable[ir.Node], table: Table) -> dict[ir.Node, Rule]:
    """Return the rule of each node.

    Raises:
        UnsupportedError: operators without a rule, all of them in one message.
    """
    found = {node: rule_of(graph, node, table) for node in nodes}
    rules = {node: rule for node, rule in found.items() if rule is not None}
    if missing := kinds(node for node, rule in found.items() if rule is None):
        listed = "; ".join(_no_rule(kind, names) for kind, names in missing.items())
        raise UnsupportedError(
            f"no gradient rule for {len(missing)} operator(s) between the layer and the score: {listed}; "
            "choose a layer behind them, or a method that needs no gradient such as eigen-cam"
        )
    return rules


def _no_rule(kind: str, names: list[str]) -> str:
    domain, _, op_type = kind.rpartition(":")
    reason = refusals().get((domain, op_type))
    return f"{kind} (at {', '.join(names[:3])})" + (f": {reason}" if reason else "")


def kinds(nodes: Iterable[ir.Node]) -> dict[str, list[str]]:
    """Return the names of nodes by operator, in alphabetical order of operators."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        kind = f"{node.domain}:{node.op_type}" if node.domain else node.op_type
        found.setdefault(kind, []).append(node.name or str(node.outputs[0].name))
    return dict(sorted(found.items()))


class Walk:
    """Writes the backward pass of one score with respect to some values."""

    def __init__(self, graph: ir.Graph, score: ir.Value, wrt: Sequence[ir.Value], table: Table) -> None:
        """Find the nodes in between and their rules; nothing is written yet."""
        self.op = Builder(graph)
        self.graph = graph
        self.score = score
        self.wrt = wrt
        self.nodes, self.wanted = between(graph, wrt, score)
        self.rules = find_rules(graph, self.nodes, table)
        self._arrived: dict[ir.Value, list[Var]] = {}

    def run(self, seed: Var) -> list[Var]:
        """Write the walk from the score's cotangent and return one gradient for each value asked for."""
        self._arrived[self.score] = [seed]
        for node in reversed(self.nodes):
            cotangents = [self.cotangent(value) for value in node.outputs]
            if any(c is not None for c in cotangents):
                self._differentiate(node, cotangents)
        gradients = []
        for value in self.wrt:
            gradient = self.cotangent(value)
            if gradient is None:
                raise DependencyError(f"no gradient reaches '{value.name}'; choose another layer")
            gradients.append(gradient)
        return gradients

    def cotangent(self, value: ir.Value) -> Var | None:
        """Return the sum of all that has arrived at a value, or None."""
        arrived = self._arrived.get(value)
        if not arrived:
            return None
        if len(arrived) > 1:
            self._arrived[value] = [self.op.Sum(*arrived)]
        return self._arrived[value][0]

    def _differentiate(self, node: ir.Node, cotangents: list[Var | None]) -> None:
        rule = self.rules[node]
        if not rule.all_outputs and any(c is not None for c in cotangents[1:]):
            raise UnsupportedError(f"{label(node)}: the gradient of its further outputs is not supported")
        view = NodeView(self.op, node, self.wanted.__contains__)
        try:
            results = rule.function(self.op, view, cotangents if rule.all_outputs else cotangents[0])
        except UnknownShapeError as error:
            raise UnsupportedError(
                f"{label(node)}: {error}; run shape inference on the model, or export it with fixed sizes"
            ) from error
        for index, value in enumerate(node.inputs):
            if value is None or value not in self.wanted:
                continue
            result = results[index] if index < len(results) else None
            if result is None:
                raise UnsupportedError(f"{label(node)}: no gradient for its input {index} ('{value.name}')")
            if rule.broadcasts:
                result = shapes.unbroadcast(self.op, result, shape_of(node.outputs[0]), self.op.var(value))
            self._arrived.setdefault(value, []).append(self.op.cast(result, cotangent_type(value)))
