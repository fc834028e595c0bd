"""The backward pass: prune, call rules, undo broadcasting, sum cotangents that meet, name the gradients.

Everything that all rules would have to do is done here once, so that a rule is only its derivative.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var, shape_of
from onnxcam.autodiff.intercepts import Intercepts
from onnxcam.autodiff.node import NodeView, UnknownShapeError, cotangent_type
from onnxcam.autodiff.paths import between, label, paths
from onnxcam.autodiff.registry import Table
from onnxcam.autodiff.rule_search import Opsets, find_rules
from onnxcam.errors import DependencyError, UnsupportedError
from onnxcam.graph.analysis.subgraphs import captured


class BackwardPass:
    """Writes the backward pass of one graph, which may be a branch of another.

    Attributes:
        op: where nodes are written.
        nodes: those that are differentiated, in the order of the forward pass.
        wanted: values that a cotangent is wanted of.
        rules: the rule of each node.
        intercepts: writes the terms that nodes add to the score beside their inputs, if that is wanted.
    """

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
        self._received: dict[ir.Value, list[Var]] = {}
        self.intercepts: Intercepts | None = None

    @classmethod
    def of(cls, graph: ir.Graph, score: ir.Value, wrt: Sequence[ir.Value], table: Table) -> BackwardPass:
        """Prepare the backward pass from one score to some values."""
        nodes, wanted = between(graph, wrt, score)
        return cls(Builder(graph), nodes, wanted, table, graph.opset_imports)

    def write(self, seeds: Iterable[tuple[ir.Value, Var]]) -> None:
        """Write the backward pass, given the cotangents of the values that it starts from."""
        for value, seed in seeds:
            self._received.setdefault(value, []).append(seed)
        for node in reversed(self.nodes):
            cotangents = [self.cotangent(value) for value in node.outputs]
            if any(c is not None for c in cotangents):
                self._differentiate(node, cotangents)

    def gradient(self, value: ir.Value) -> Var:
        """Return the gradient of a value.

        Raises:
            DependencyError: no cotangent reaches it.
        """
        found = self.cotangent(value)
        if found is None:
            raise DependencyError(f"no gradient reaches '{value.name}'; choose another layer")
        return found

    def cotangent(self, value: ir.Value) -> Var | None:
        """Return the sum of all cotangents that a value has received, or None where it has received none."""
        received = self._received.get(value)
        if not received:
            return None
        if len(received) > 1:
            self._received[value] = [self.op.Sum(*received)]
            self._copy_shape(self._received[value][0], value)
        return self._received[value][0]

    def _differentiate(self, node: ir.Node, cotangents: list[Var | None]) -> None:
        rule = self.rules[node]
        if not rule.all_outputs and any(c is not None for c in cotangents[1:]):
            raise UnsupportedError(
                f"{label(node)}: the gradient of its further outputs is not supported; "
                "choose a later layer (closer to the output)"
            )
        view = NodeView(self.op, node, self.wanted.__contains__, self._branch)
        try:
            results = rule.function(self.op, view, cotangents if rule.all_outputs else cotangents[0])
        except UnknownShapeError as error:
            raise UnsupportedError(
                f"{label(node)}: {error}; run shape inference on the model, or export it with fixed sizes"
            ) from error
        received: dict[int, Var] = {}
        for index, value in enumerate([*node.inputs, *captured(node)]):
            if value is None or value not in self.wanted:
                continue
            result = results[index] if index < len(results) else None
            if result is None and rule.partial:
                continue
            if result is None:
                raise UnsupportedError(
                    f"{label(node)}: no gradient for its input {index} ('{value.name}'); "
                    "choose a later layer (closer to the output)"
                )
            received[index] = result
            if rule.broadcasts:
                result = shapes.unbroadcast(self.op, result, shape_of(node.outputs[0]), self.op.var(value))
            result = self.op.cast(result, cotangent_type(value))
            self._copy_shape(result, value)
            self._received.setdefault(value, []).append(result)
        if self.intercepts is not None:
            self.intercepts.see(self.op, node, self.wanted, cotangents, received, rule.broadcasts)

    def _copy_shape(self, cotangent: Var, value: ir.Value) -> None:
        """Give a cotangent its value's shape: onnxruntime keeps its blocked layout where it knows that."""
        if cotangent.value.shape is None and value.shape is not None and self.op.wrote(cotangent.value):
            cotangent.value.shape = value.shape.copy()

    def _branch(
        self, op: Builder, body: ir.Graph, seeds: Sequence[Var | None], wrt: Sequence[ir.Value]
    ) -> list[Var | None]:
        """Write the backward pass of a branch into it."""
        # A Var writes into the graph that it was made for: the branch needs its own.
        ends = [
            (value, op.var(seed.value)) for value, seed in zip(body.outputs, seeds, strict=True) if seed is not None
        ]
        nodes, wanted = paths(body, wrt, [value for value, _ in ends])
        inner = BackwardPass(op, nodes, wanted, self._table, self._opsets)
        inner.write((value, op.cast(seed, cotangent_type(value))) for value, seed in ends)
        return [inner.cotangent(value) for value in wrt]
