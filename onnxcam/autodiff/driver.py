"""The walk backwards: prune, call rules, undo broadcasting, sum what arrives, name what leaves.

Everything that all rules would have to do is done here once, so that a rule is only its derivative.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var, shape_of
from onnxcam.autodiff.node import NodeView, UnknownShapeError, cotangent_type
from onnxcam.autodiff.registry import Rule, Table, constant_outputs, find_rule, refusals, zero_gradients
from onnxcam.errors import DependencyError, NoGradientError, NoRuleError, UnsupportedError
from onnxcam.graph.analysis import reachability
from onnxcam.graph.analysis.dtypes import carries_signal
from onnxcam.graph.analysis.subgraphs import bodies, captured

# Versions of the operator sets; only the outermost graph has them.
Opsets: TypeAlias = Mapping[str, int]


def label(node: ir.Node) -> str:
    """Return how messages call a node: its operator and its name."""
    domain = f"{node.domain}:" if node.domain else ""
    return f"{domain}{node.op_type} '{node.name or node.outputs[0].name}'"


def carries_gradient(node: ir.Node, value: ir.Value, found: Container[ir.Value]) -> bool:
    """Whether a gradient can belong to an output of a node, given the values that already have one."""
    constant = constant_outputs(node.domain, node.op_type)
    return value.index() not in constant and carries_signal(node, value, found)


def smooth_outputs(node: ir.Node, found: Container[ir.Value]) -> list[ir.Value]:
    """Return the outputs of a node that change smoothly with those of its inputs that are among some values."""
    if (node.domain, node.op_type) in zero_gradients():
        return []
    return [value for value in node.outputs if carries_gradient(node, value, found)]


def paths(
    graph: ir.Graph, sources: Iterable[ir.Value], ends: Iterable[ir.Value]
) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return the nodes through which an end changes smoothly with a source, in order, and the values on these paths.

    What computes a source is none of them, unless it leads there from another source.
    """
    return reachability.between(graph, sources, ends, smooth_outputs)


def between(graph: ir.Graph, sources: Sequence[ir.Value], score: ir.Value) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return the nodes that lead from a source to the score, in order, and the values on those ways.

    Raises:
        DependencyError: the score does not depend on one of the sources; a NoGradientError if it does, but in steps.
    """
    nodes, found = paths(graph, sources, [score])
    for source in sources:
        if source not in found or score not in found:
            stopped = kinds(_stopping(graph, source, score))
            why = f": no gradient flows through {', '.join(stopped)}" if stopped else ""
            raise (NoGradientError if stopped else DependencyError)(
                f"'{score.name}' does not depend smoothly on '{source.name}'{why}; "
                "choose a layer on the way to the score (onnxcam inspect lists them)"
            )
    return nodes, found


def _stopping(graph: ir.Graph, source: ir.Value, score: ir.Value) -> Iterator[ir.Node]:
    """Return the nodes on the way from a value to the score, of whatever type, that let no gradient through."""
    nodes, values = reachability.between(graph, [source], [score])
    return (node for node in nodes if not smooth_outputs(node, values))


def rule_of(opsets: Opsets, node: ir.Node, table: Table) -> Rule | None:
    """Return the rule of one node, or None if the table has none for it."""
    return find_rule(table, node.domain, node.op_type, opsets.get(node.domain, 1))


def covers(rule: Rule | None, node: ir.Node, wanted: Container[ir.Value]) -> bool:
    """Whether a rule gives a cotangent to every wanted input of a node."""
    if rule is None or rule.inputs is None:
        return rule is not None
    return all(index in rule.inputs for index, value in enumerate(node.inputs) if value is not None and value in wanted)


def with_inner(nodes: Iterable[ir.Node], wanted: Container[ir.Value]) -> Iterator[ir.Node]:
    """Yield nodes, and the nodes of their branches that a gradient has to pass to reach the wanted values."""
    return (node for node, _ in _with_wanted(nodes, wanted))


def _with_wanted(
    nodes: Iterable[ir.Node], wanted: Container[ir.Value]
) -> Iterator[tuple[ir.Node, Container[ir.Value]]]:
    """Yield the same nodes, each with the values of its graph that a gradient is wanted of."""
    for node in nodes:
        yield node, wanted
        if node.op_type == "If":
            sources = [value for value in captured(node) if value in wanted]
            for body in bodies(node):
                inner, values = paths(body, sources, body.outputs)
                yield from _with_wanted(inner, values)


def without_rules(
    opsets: Opsets, nodes: Iterable[ir.Node], wanted: Container[ir.Value], table: Table
) -> dict[str, list[str]]:
    """Return the names of nodes without a rule, in branches too, by operator: what differentiation would miss.

    A rule that leaves out a wanted input counts as none.
    """
    return kinds(
        node for node, values in _with_wanted(nodes, wanted) if not covers(rule_of(opsets, node, table), node, values)
    )


def find_rules(
    opsets: Opsets, nodes: Sequence[ir.Node], wanted: Container[ir.Value], table: Table
) -> dict[ir.Node, Rule]:
    """Return the rule of each node.

    Raises:
        NoRuleError: operators without a rule, all of them in one message.
    """
    if missing := without_rules(opsets, nodes, wanted, table):
        listed = "; ".join(_no_rule(kind, names, table) for kind, names in missing.items())
        raise NoRuleError(
            f"no gradient rule for {len(missing)} operator(s) between the layer and the score: {listed}; "
            "choose a layer behind them"
        )
    found = {node: rule_of(opsets, node, table) for node in nodes}
    return {node: rule for node, rule in found.items() if rule is not None}


def _no_rule(kind: str, names: list[str], table: Table) -> str:
    domain, _, op_type = kind.rpartition(":")
    reason = refusals().get((domain, op_type))
    for rule in table.get((domain, op_type), ()):
        if rule.inputs is not None:
            reason = f"it has one for its input {', '.join(map(str, sorted(rule.inputs)))} alone"
    return f"{kind} (at {', '.join(names[:3])})" + (f": {reason}" if reason else "")


def kinds(nodes: Iterable[ir.Node]) -> dict[str, list[str]]:
    """Return the names of nodes by operator, in alphabetical order of operators."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        kind = f"{node.domain}:{node.op_type}" if node.domain else node.op_type
        found.setdefault(kind, []).append(node.name or str(node.outputs[0].name))
    return dict(sorted(found.items()))


class Walk:
    """Writes the backward pass of one graph, which may be a branch of another."""

    def __init__(
        self, op: Builder, nodes: Sequence[ir.Node], wanted: Container[ir.Value], table: Table, opsets: Opsets
    ) -> None:
        """Find the rules of some nodes; nothing is written yet."""
        self.op = op
        self.nodes = nodes
        self.wanted = wanted
        self.rules = find_rules(opsets, nodes, wanted, table)
        self._table = table
        self._opsets = opsets
        self._arrived: dict[ir.Value, list[Var]] = {}

    @classmethod
    def of(cls, graph: ir.Graph, score: ir.Value, wrt: Sequence[ir.Value], table: Table) -> Walk:
        """Prepare the walk from one score to some values."""
        nodes, wanted = between(graph, wrt, score)
        return cls(Builder(graph), nodes, wanted, table, graph.opset_imports)

    def run(self, seeds: Iterable[tuple[ir.Value, Var]]) -> None:
        """Write the walk from the cotangents of some values."""
        for value, seed in seeds:
            self._arrived.setdefault(value, []).append(seed)
        for node in reversed(self.nodes):
            cotangents = [self.cotangent(value) for value in node.outputs]
            if any(c is not None for c in cotangents):
                self._differentiate(node, cotangents)

    def gradient(self, value: ir.Value) -> Var:
        """Return the gradient of a value that was asked for."""
        found = self.cotangent(value)
        if found is None:
            raise DependencyError(f"no gradient reaches '{value.name}'; choose another layer")
        return found

    def cotangent(self, value: ir.Value) -> Var | None:
        """Return the sum of all that has arrived at a value, or None."""
        arrived = self._arrived.get(value)
        if not arrived:
            return None
        if len(arrived) > 1:
            self._arrived[value] = [self.op.Sum(*arrived)]
            self._tell_shape(self._arrived[value][0], value)
        return self._arrived[value][0]

    def _differentiate(self, node: ir.Node, cotangents: list[Var | None]) -> None:
        rule = self.rules[node]
        if not rule.all_outputs and any(c is not None for c in cotangents[1:]):
            raise UnsupportedError(
                f"{label(node)}: the gradient of its further outputs is not supported; choose a layer behind it"
            )
        view = NodeView(self.op, node, self.wanted.__contains__, self._branch)
        try:
            results = rule.function(self.op, view, cotangents if rule.all_outputs else cotangents[0])
        except UnknownShapeError as error:
            raise UnsupportedError(
                f"{label(node)}: {error}; run shape inference on the model, or export it with fixed sizes"
            ) from error
        for index, value in enumerate([*node.inputs, *captured(node)]):
            if value is None or value not in self.wanted:
                continue
            result = results[index] if index < len(results) else None
            if result is None and rule.partial:
                continue
            if result is None:
                raise UnsupportedError(
                    f"{label(node)}: no gradient for its input {index} ('{value.name}'); choose a layer behind it"
                )
            if rule.broadcasts:
                result = shapes.unbroadcast(self.op, result, shape_of(node.outputs[0]), self.op.var(value))
            result = self.op.cast(result, cotangent_type(value))
            self._tell_shape(result, value)
            self._arrived.setdefault(value, []).append(result)

    def _tell_shape(self, cotangent: Var, value: ir.Value) -> None:
        """Say that a cotangent has its value's shape: onnxruntime keeps its blocked layout where it knows that."""
        if cotangent.value.shape is None and value.shape is not None and self.op.wrote(cotangent.value):
            cotangent.value.shape = value.shape.copy()

    def _branch(
        self, op: Builder, body: ir.Graph, seeds: Sequence[Var | None], wrt: Sequence[ir.Value]
    ) -> list[Var | None]:
        """Write the backward pass of a branch into it."""
        # A value writes where it was made: in the branch it has to be taken up anew.
        ends = [
            (value, op.var(seed.value)) for value, seed in zip(body.outputs, seeds, strict=True) if seed is not None
        ]
        nodes, wanted = paths(body, wrt, [value for value, _ in ends])
        walk = Walk(op, nodes, wanted, self._table, self._opsets)
        walk.run((value, op.cast(seed, cotangent_type(value))) for value, seed in ends)
        return [walk.cotangent(value) for value in wrt]
